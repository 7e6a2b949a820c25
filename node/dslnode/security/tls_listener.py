"""The listening end of TLS: who knocks is screened, proves who it is, is carried to gRPC; strangers are reported."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

from dslnode.addresses import host_and_port
from dslnode.errors import PeerError
from dslnode.security.handshake_limiter import HandshakeLimiter
from dslnode.security.identity import Identity
from dslnode.security.tls_errors import caller_problem, reason_of
from dslnode.security.tls_stream import CHUNK, TlsStream
from dslnode.security.tls_tunnels import TlsTunnels

HANDSHAKE_SECONDS = 5.0
MAX_CONNECTIONS = 150
MAX_CONNECTIONS_OF_A_NODE = 8
BACKLOG = 64
PAUSE_SECONDS = 0.1
"""How long to accept nobody when the process has no file descriptor left."""


@dataclass(frozen=True)
class AuthenticatedPeer:
    """Who is at the other end of a connection that gRPC serves, and where."""

    remote: tuple[str, int]
    identity: Identity


class TlsListener:
    """Accepts connections until ``stop``. ``inner`` returns the Unix socket on which gRPC serves now.

    ``refused`` is called with address, reason and explanation of each connection that is turned away.
    """

    def __init__(
        self, tunnels: TlsTunnels, inner: Callable[[], Path], refused: Callable[[str, str, str], None]
    ) -> None:
        self._tunnels = tunnels
        self._inner = inner
        self._refused = refused
        self._screening = HandshakeLimiter()
        self._callers: dict[str, AuthenticatedPeer] = {}
        self._jobs: set[asyncio.Task[None]] = set()

    def listen(self, address: str) -> int:
        """Bind ``HOST:PORT`` and accept; return the port. Raises ``OSError``."""
        bare, port = host_and_port(address)
        family = socket.AF_INET6 if ":" in bare else socket.AF_INET
        dual = bare == "::" and socket.has_dualstack_ipv6()
        self._listener = socket.create_server((bare, port), family=family, backlog=BACKLOG, dualstack_ipv6=dual)
        self._listener.setblocking(False)
        self._start(self._accept())
        return int(self._listener.getsockname()[1])

    def caller(self, peer: str) -> AuthenticatedPeer | None:
        """Return who has the connection that gRPC calls ``peer``; None if it did not come through this door."""
        return self._callers.get(peer.rpartition("/")[2])

    async def stop(self) -> None:
        """Close the door and what came in by it."""
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        self._listener.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._listener)
            except OSError:
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            self._take((address[0].removeprefix("::ffff:"), address[1]), connection)
            await asyncio.sleep(0)  # a flood of callers must not keep the event loop from everything else

    def _take(self, remote: tuple[str, int], connection: socket.socket) -> None:
        refusal = self._screening.refusal(remote[0], asyncio.get_running_loop().time())
        if refusal is None and len(self._tunnels) < MAX_CONNECTIONS:
            self._screening.began(remote[0])
            self._start(self._serve(remote, connection))
            return
        connection.close()
        self._refuse(remote, refusal or "too_many", "knocks too often; it was turned away before any handshake")

    def _start(self, job: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(job)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    async def _serve(self, remote: tuple[str, int], connection: socket.socket) -> None:
        try:
            outer, identity = await self._admit(connection)
        except PeerError as error:
            self._screening.failed(remote[0], asyncio.get_running_loop().time())
            self._refuse(remote, error.reason, str(error))
            return
        finally:
            self._screening.ended(remote[0])
        with contextlib.suppress(OSError):
            await self._carry(AuthenticatedPeer(remote, identity), outer)
        outer.close()

    async def _admit(self, connection: socket.socket) -> tuple[TlsStream, Identity]:
        connection.setblocking(False)
        with contextlib.ExitStack() as unless_done:
            unless_done.callback(connection.close)
            try:
                async with asyncio.timeout(HANDSHAKE_SECONDS):
                    ends = await asyncio.open_connection(sock=connection, limit=CHUNK)
                    outer = TlsStream(*ends, self._tunnels.credentials.server)
                    unless_done.pop_all()
                    unless_done.callback(outer.close)
                    await outer.shake_hands()
            except OSError as error:  # of which TLS errors and timeouts are
                reason = reason_of(error)
                raise PeerError(reason, caller_problem(reason)) from error
            identity = self._tunnels.credentials.peer(outer.object)
            if self._tunnels.count(identity) >= MAX_CONNECTIONS_OF_A_NODE:
                raise PeerError("too_many", f"{identity.name} has {MAX_CONNECTIONS_OF_A_NODE} connections already")
            unless_done.pop_all()
        return outer, identity

    async def _carry(self, caller: AuthenticatedPeer, outer: TlsStream) -> None:
        """Connect to gRPC from a socket of a path that says which caller this is."""
        path = self._tunnels.path()
        link = socket.socket(socket.AF_UNIX)
        try:
            link.bind(str(path))
            link.setblocking(False)
            self._callers[path.name] = caller
            await asyncio.get_running_loop().sock_connect(link, str(self._inner()))
            inner = await asyncio.open_unix_connection(sock=link, limit=CHUNK)
            await self._tunnels.carry(caller.identity, outer, inner)
        finally:
            link.close()
            self._callers.pop(path.name, None)
            path.unlink(missing_ok=True)

    def _refuse(self, remote: tuple[str, int], reason: str, why: str) -> None:
        self._refused(f"{remote[0]}:{remote[1]}", reason, why)
