"""The listening end: conversations, status, and gRPC's standard health and reflection services."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from dslnode.errors import ListenError
from dslnode.transport.door import Door
from dslnode.transport.network import Network
from dslnode.transport.options import SERVER_OPTIONS
from dslnode.transport.tunnels import Tunnels
from dslnode.transport.vouched import Vouched
from dslnode.v1 import node_pb2 as pb
from dslnode.v1 import node_pb2_grpc

SERVICES = tuple(service.full_name for service in pb.DESCRIPTOR.services_by_name.values())
MAX_CALLS = 256

Context = grpc.aio.ServicerContext[pb.Frame, pb.Frame]


class Server:
    """Accepts neighbours for a network and answers status questions with what ``status`` returns.

    With ``tunnels`` it talks TLS to holders of a ticket, and with nobody else.
    """

    def __init__(self, network: Network, status: Callable[[], pb.StatusReply], tunnels: Tunnels | None = None) -> None:
        self._network = network
        self._tunnels = tunnels
        self._door: Door | None = None
        self._server = grpc.aio.server(options=SERVER_OPTIONS, maximum_concurrent_rpcs=MAX_CALLS)
        node_pb2_grpc.add_NeighbourServicer_to_server(_Neighbour(self._converse), self._server)
        node_pb2_grpc.add_StatusServicer_to_server(_Status(status), self._server)
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)

    async def listen(self, address: str) -> int:
        """Bind ``HOST:PORT`` and serve; return the port (useful with port 0). ``ListenError`` if it cannot be had."""
        try:
            port = await self._bind(address)
        except (RuntimeError, OSError):
            port = 0
        if port == 0:
            raise ListenError(
                f"cannot listen on {address}: the port is taken or the address is not this machine's; "
                "choose another with --listen HOST:PORT"
            )
        for name in ("", *SERVICES):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return port

    async def stop(self, grace: float) -> None:
        """Refuse new calls and end the open ones within ``grace`` seconds."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)
        if self._door is not None:
            await self._door.stop()

    async def _bind(self, address: str) -> int:
        """Serve, and return the port. gRPC itself listens on a Unix socket where there is TLS before it."""
        if self._tunnels is None:
            port = self._server.add_insecure_port(address)
        else:
            inner = self._tunnels.path()
            self._server.add_insecure_port(f"unix:{inner}")
            door = Door(self._tunnels, inner, self._network.report)
            port, self._door = door.listen(address), door
        if port != 0:
            await self._server.start()
        return port

    async def _converse(self, context: Context) -> None:
        if self._door is None:
            await self._network.answer(context, read_address(context.peer()))
        elif (caller := self._door.caller(context.peer())) is not None:
            await self._network.answer(Vouched(context, caller.identity), caller.remote)
        else:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "come by the node's --listen address, with a ticket")


class _Neighbour(node_pb2_grpc.NeighbourServicer):
    def __init__(self, converse: Callable[[Context], Awaitable[None]]) -> None:
        self._converse = converse

    async def Converse(self, _requests: object, context: Context) -> None:
        await self._converse(context)


class _Status(node_pb2_grpc.StatusServicer):
    def __init__(self, status: Callable[[], pb.StatusReply]) -> None:
        self._status = status

    async def Get(self, _request: pb.StatusRequest, _context: object) -> pb.StatusReply:
        return self._status()


def read_address(peer: str) -> tuple[str, int]:
    """Return host and port of gRPC's name for a peer: ``ipv4:10.0.0.2:40312`` or ``ipv6:%5B::1%5D:40312``."""
    host, _, port = peer.partition(":")[2].rpartition(":")
    host = host.replace("%5B", "[").replace("%5D", "]").strip("[]").removeprefix("::ffff:")
    return host, int(port) if port.isdigit() else 0
