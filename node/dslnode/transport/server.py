"""The listening side: conversations, status, and gRPC's standard health and reflection services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from typing import cast
from urllib.parse import unquote

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from dslnode.addresses import grpc_address
from dslnode.errors import ListenError, SettingsError
from dslnode.name_lookup import host_of, resolve_own
from dslnode.security.socket_directory import grpc_target
from dslnode.security.tls_listener import AuthenticatedPeer, TlsListener
from dslnode.security.tls_tunnels import TlsTunnels
from dslnode.transport.authenticated_stream import AuthenticatedStream
from dslnode.transport.call_slots import CallLimiter, CallSlots
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.grpc_options import descriptor_limit, server_options
from dslnode.transport.link_events import PeerRefused
from dslnode.transport.reachability import Declined, ReachabilityService
from dslnode.transport.restarting_server import GenericServices, RestartingServer
from dslnode.v1 import node_pb2 as pb
from dslnode.v1 import node_pb2_grpc

SERVICES = tuple(service.full_name for service in pb.DESCRIPTOR.services_by_name.values())
LINKS = frozenset({f"/{pb.DESCRIPTOR.services_by_name['Neighbour'].full_name}/Converse"})
MAX_CALLS = 256
"""Calls that gRPC serves at once; ``call_slots`` keeps those that are no links far below."""
CUT_SECONDS = 0.2
"""How long gRPC may take to say goodbye on its connections after the grace, before the tunnels are cut."""
STOP_SECONDS = 1.5

NEEDS_TLS = "connect to the node's --listen address, with a ticket"

ConverseContext = grpc.aio.ServicerContext[pb.Frame, pb.Frame]
DialBackContext = grpc.aio.ServicerContext[pb.DialBackRequest, pb.DialBackReply]


class Server:
    """Accepts links for a connection manager, replies with what ``status`` and ``ledger`` return, and dials back.

    With ``tunnels`` it talks TLS only, and only with holders of a ticket. ``dialled_back`` is called with the outcome
    of each request to dial back.
    """

    def __init__(
        self,
        connections: ConnectionManager,
        status: Callable[[], pb.StatusReply],
        ledger: Callable[[str], Iterable[pb.LedgerRow]] = lambda _: (),
        *,
        tunnels: TlsTunnels | None = None,
        dialled_back: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._connections = connections
        self._tunnels = tunnels
        self._tls_listener: TlsListener | None = None
        self._reachability = ReachabilityService(dialled_back)
        self._neighbour = _Neighbour(self._converse)
        self._status = _Status(status, ledger, self._dial_back)
        self._health = health.aio.HealthServicer()
        self.slots = CallSlots()
        self._server = RestartingServer(self._make, self._bind)

    async def listen(self, address: str) -> int:
        """Bind ``HOST:PORT`` and serve; return the port (useful with port 0). ``ListenError`` if it is taken.

        Raises ``SettingsError`` if there is no Unix socket to be had behind TLS.
        """
        try:
            self._endpoint = await resolve_own(address)
        except OSError as error:
            raise ListenError(f"cannot listen on {address}: {error}; choose another with --listen HOST:PORT") from error
        if self._tunnels is not None:
            self._tunnels.open_directory()
        port = await self._server.start()
        if self._tunnels is not None:
            if port == 0:
                raise SettingsError(f"gRPC cannot listen on the Unix socket {self._inner}; set TMPDIR to another path")
            port = self._start_tls_listener(self._tunnels)
        if port == 0:
            raise ListenError(
                f"cannot listen on {address}: the port is taken or the address is not this machine's; "
                "choose another with --listen HOST:PORT"
            )
        for name in ("", *SERVICES):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return port

    async def stop(self, grace: float) -> None:
        """Refuse new calls and end the open ones within ``grace`` seconds; return within ``STOP_SECONDS``.

        gRPC ends a connection when the other side has taken what waits for it, which a hostile one never does. So
        the tunnels are cut after the grace, and without TLS the server is left as it is after ``STOP_SECONDS``.
        """
        await self._health.enter_graceful_shutdown()
        if self._tls_listener is not None:
            self._tls_listener.stop_accepting()
        stopping = asyncio.ensure_future(self._server.stop(grace))
        await asyncio.wait({stopping}, timeout=grace + CUT_SECONDS)
        if self._tls_listener is not None:
            await self._tls_listener.stop()
        await asyncio.wait({stopping}, timeout=STOP_SECONDS - grace - CUT_SECONDS)
        if not stopping.done():
            stopping.cancel()

    def is_open(self) -> bool:
        """Return whether the address is open and answers."""
        return not self.unready()

    def unready(self) -> str:
        """Return why this node takes no connection now; empty if it does."""
        if not self._server.is_open():
            return "the node is starting or stopping: its address is not open"
        return self.socket_problem()

    def socket_problem(self) -> str:
        """Return why no connection gets from TLS to gRPC; empty if they do, or if there is no TLS."""
        if self._tunnels is None or not self._server.is_open() or self._inner.is_socket():
            return ""
        return f"{self._inner}, the Unix socket between TLS and gRPC, has vanished"

    def renew_socket(self) -> None:
        """Have gRPC serve new calls on a new Unix socket; the calls that are open go on."""
        self._server.renew()

    def _make(self) -> grpc.aio.Server:
        limiter = CallLimiter(self.slots, LINKS, self._caller, self._refuse_calls)
        server = grpc.aio.server(
            options=server_options(descriptor_limit()), maximum_concurrent_rpcs=MAX_CALLS, interceptors=(limiter,)
        )
        services = cast(grpc.aio.Server, GenericServices(server))
        node_pb2_grpc.add_NeighbourServicer_to_server(self._neighbour, services)
        node_pb2_grpc.add_StatusServicer_to_server(self._status, services)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, services)
        names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflected = reflection.aio.ReflectionServicer(names)  # the one for asyncio: ``services`` hides what it is
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflected, services)  # type: ignore[no-untyped-call]
        return server

    def _bind(self, server: grpc.aio.Server) -> int:
        """Bind the node's own port; behind TLS a Unix socket, whose port counts as 1."""
        if self._tunnels is None:
            port = server.add_insecure_port(grpc_address(self._endpoint.host, self._endpoint.port))
            self._endpoint = replace(self._endpoint, port=port)  # with port 0, a restart takes the same one
            return port
        self._inner = self._tunnels.path()
        return server.add_insecure_port(grpc_target(self._inner))

    def _start_tls_listener(self, tunnels: TlsTunnels) -> int:
        """Return the port of the TLS listener; 0 if it is taken."""
        listener = TlsListener(tunnels, lambda: self._inner, self._refused)
        try:
            port, self._tls_listener = listener.listen(self._endpoint), listener
        except OSError:
            return 0
        return port

    def _refused(self, address: str, reason: str, explanation: str) -> None:
        self._connections.report(PeerRefused(address, reason, explanation))

    def _caller(self, grpc_peer: str) -> str:
        """Return who makes a call: the node by its ticket, else the connection."""
        peer = self._peer(grpc_peer)
        return grpc_peer if peer is None else peer.identity.node_id.hex()

    def _peer(self, grpc_peer: str) -> AuthenticatedPeer | None:
        """Return who has proved an identity on the connection that gRPC calls ``grpc_peer``."""
        return None if self._tls_listener is None else self._tls_listener.peer(grpc_peer)

    def _remote(self, grpc_peer: str) -> tuple[str, int]:
        """Return host and port of the other side, which behind TLS gRPC does not know."""
        peer = self._peer(grpc_peer)
        return read_address(grpc_peer) if peer is None else peer.remote

    def _refuse_calls(self, grpc_peer: str) -> None:
        peer, (host, port) = self._peer(grpc_peer), self._remote(grpc_peer)
        name = "a caller" if peer is None else peer.identity.name
        self._refused(f"{host}:{port}", "too_many", f"{name} has too many calls open")

    async def _converse(self, context: ConverseContext) -> None:
        if self._tls_listener is None:
            await self._connections.accept(context, read_address(context.peer()))
        elif (peer := self._peer(context.peer())) is not None:
            await self._connections.accept(AuthenticatedStream(context, peer.identity), peer.remote)
        else:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, NEEDS_TLS)

    async def _dial_back(self, request: pb.DialBackRequest, context: DialBackContext) -> pb.DialBackReply:
        host, _ = self._remote(context.peer())
        reply = await self._reachability.dial_back(host, request.port)
        if isinstance(reply, Declined):
            await context.abort(reply.code, reply.explanation)
        return reply


class _Neighbour(node_pb2_grpc.NeighbourServicer):
    def __init__(self, converse: Callable[[ConverseContext], Awaitable[None]]) -> None:
        self._converse = converse

    async def Converse(self, _requests: object, context: ConverseContext) -> None:
        await self._converse(context)


class _Status(node_pb2_grpc.StatusServicer):
    def __init__(
        self,
        status: Callable[[], pb.StatusReply],
        ledger: Callable[[str], Iterable[pb.LedgerRow]],
        dial_back: Callable[[pb.DialBackRequest, DialBackContext], Awaitable[pb.DialBackReply]],
    ) -> None:
        self._status = status
        self._ledger = ledger
        self._dial_back = dial_back

    async def Get(self, _request: pb.StatusRequest, _context: object) -> pb.StatusReply:
        return self._status()

    async def Ledger(self, request: pb.LedgerRequest, _context: object) -> AsyncIterator[pb.LedgerRow]:
        for row in list(self._ledger(request.per)):
            yield row

    async def DialBack(self, request: pb.DialBackRequest, context: DialBackContext) -> pb.DialBackReply:
        return await self._dial_back(request, context)


def read_address(peer: str) -> tuple[str, int]:
    """Return host and port of gRPC's name for a peer: ``ipv4:10.0.0.2:40312`` or ``ipv6:%5B::1%5D:40312``.

    gRPC gives a zone as a number; it becomes the interface's name, as everywhere else.
    """
    name, _, port = unquote(peer.partition(":")[2]).rpartition(":")
    host, _, zone = name.strip("[]").partition("%")
    number = int(port) if port.isdigit() else 0
    return host_of((host, number, 0, int(zone) if zone.isdigit() else 0)), number
