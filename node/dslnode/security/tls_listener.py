"""The TLS listener in front of gRPC: limits handshakes, authenticates peers, relays their bytes, reports refusals."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

from dslnode.errors import PeerError
from dslnode.name_lookup import Endpoint, host_of
from dslnode.security.handshake_limiter import Admission, HandshakeLimiter, OpenHandshake
from dslnode.security.identity import Identity
from dslnode.security.tls_errors import problem_of_dialer, reason_of
from dslnode.security.tls_stream import CHUNK, TlsStream
from dslnode.security.tls_tunnels import StreamPair, TlsTunnels

HANDSHAKE_SECONDS = 5.0
MAX_CONNECTIONS = 150
MAX_CONNECTIONS_OF_A_NODE = 8
BACKLOG = 64
PAUSE_SECONDS = 0.1
"""Seconds without accepting when the process has no file descriptor left."""


@dataclass(frozen=True)
class AuthenticatedPeer:
    """The other side of a connection that gRPC serves: its host and port, and its identity."""

    remote: tuple[str, int]
    identity: Identity


class TlsListener:
    """Accepts connections until ``stop``. ``inner`` returns the Unix socket on which gRPC serves now.

    ``refused`` is called with address, reason and explanation of each connection that is refused.
    """

    def __init__(
        self, tunnels: TlsTunnels, inner: Callable[[], Path], refused: Callable[[str, str, str], None]
    ) -> None:
        self._tunnels = tunnels
        self._inner = inner
        self._refused = refused
        self._limiter = HandshakeLimiter()
        self._patience: dict[OpenHandshake, asyncio.Timeout] = {}
        self._peers: dict[str, AuthenticatedPeer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self, endpoint: Endpoint) -> int:
        """Bind an address and accept; return the port. Raises ``OSError``."""
        dual_stack = endpoint.address == "::" and socket.has_dualstack_ipv6()
        self._listener = socket.create_server(
            endpoint.socket_address, family=endpoint.family, backlog=BACKLOG, dualstack_ipv6=dual_stack
        )
        self._listener.setblocking(False)
        self._accepting = self._start(self._accept())
        return int(self._listener.getsockname()[1])

    def peer(self, grpc_peer: str) -> AuthenticatedPeer | None:
        """Return the peer of the connection that gRPC calls ``grpc_peer``; None if it did not come over TLS."""
        return self._peers.get(grpc_peer.rpartition("/")[2])

    def stop_accepting(self) -> None:
        """Refuse new connections; the open ones go on."""
        self._accepting.cancel()

    async def stop(self) -> None:
        """Stop accepting, and close all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._listener.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._listener)
            except OSError:
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            self._admit((host_of(address), address[1]), connection)
            await asyncio.sleep(0)  # a flood of connections must not block the event loop

    def _admit(self, remote: tuple[str, int], connection: socket.socket) -> None:
        now = asyncio.get_running_loop().time()
        full = len(self._tunnels) >= MAX_CONNECTIONS
        admission = Admission(reason="too_many") if full else self._limiter.admit(remote[0], now)
        if admission.displaced in self._patience:
            self._patience[admission.displaced].reschedule(now)  # its task ends as if its time were over
        if admission.handshake is not None:
            self._start(self._serve(admission.handshake, remote, connection))
            return
        connection.close()
        self._refuse(remote, admission.reason, "connects too often; it was refused before any handshake")

    def _start(self, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _serve(self, handshake: OpenHandshake, remote: tuple[str, int], connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            outer, identity = await self._authenticate(handshake, connection)
            self._limiter.attempt_succeeded(handshake, loop.time())
        except PeerError as error:
            self._limiter.attempt_failed(handshake, loop.time())
            self._refuse(remote, error.reason, str(error))
            return
        finally:
            self._limiter.attempt_ended(handshake)
        with contextlib.suppress(OSError):
            await self._relay(AuthenticatedPeer(remote, identity), outer)
        outer.close()

    async def _authenticate(self, handshake: OpenHandshake, connection: socket.socket) -> tuple[TlsStream, Identity]:
        """Return the connection after its handshake, and its peer's identity; ``PeerError`` if it is refused."""
        connection.setblocking(False)
        with contextlib.ExitStack() as unless_done:
            unless_done.callback(connection.close)
            try:
                async with asyncio.timeout(HANDSHAKE_SECONDS) as patience:
                    self._patience[handshake] = patience
                    streams = await asyncio.open_connection(sock=connection, limit=CHUNK)
                    outer = TlsStream(*streams, self._tunnels.credentials.server)
                    unless_done.pop_all()
                    unless_done.callback(outer.close)
                    await outer.first_bytes()
                    handshake.heard = True
                    await outer.handshake()
            except OSError as error:  # TLS errors and timeouts are such
                reason = reason_of(error)
                raise PeerError(reason, problem_of_dialer(reason)) from error
            finally:
                self._patience.pop(handshake, None)
            identity = self._tunnels.credentials.peer(outer.object)
            if self._tunnels.count(identity) >= MAX_CONNECTIONS_OF_A_NODE:
                raise PeerError("too_many", f"{identity.name} has {MAX_CONNECTIONS_OF_A_NODE} connections already")
            unless_done.pop_all()
        return outer, identity

    async def _relay(self, peer: AuthenticatedPeer, outer: TlsStream) -> None:
        """Connect to gRPC from a Unix socket whose path says which peer this is, and relay bytes."""
        path = self._tunnels.path()
        self._peers[path.name] = peer
        try:
            inner = await _connect_from(path, self._inner())
            await self._tunnels.relay(peer.identity, outer, inner)
        finally:
            self._peers.pop(path.name, None)
            path.unlink(missing_ok=True)

    def _refuse(self, remote: tuple[str, int], reason: str, explanation: str) -> None:
        self._refused(f"{remote[0]}:{remote[1]}", reason, explanation)


async def _connect_from(path: Path, inner: Path) -> StreamPair:
    """Return a connection to the socket ``inner`` from one at ``path``. Its transport closes it, nobody else.

    Closed under its transport, its descriptor would soon be another connection's, which asyncio would mix up.
    """
    connection = socket.socket(socket.AF_UNIX)
    with contextlib.ExitStack() as unless_done:
        unless_done.callback(connection.close)
        connection.bind(str(path))
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, str(inner))
        unless_done.pop_all()
    return await asyncio.open_unix_connection(sock=connection, limit=CHUNK)
