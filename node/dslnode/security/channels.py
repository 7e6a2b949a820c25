"""The ways from a dialling node to another one: plaintext on this machine, TLS beyond it; never the other."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from dslnode.addresses import is_loopback
from dslnode.security.identity import Identity
from dslnode.security.tls_errors import dialer_problem
from dslnode.security.tls_stream import CHUNK, TlsStream
from dslnode.security.tls_tunnels import Ends, TlsTunnels

LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class ChannelTarget:
    """Where a gRPC channel leads to the other node, and who that has proved to be, if it had to."""

    target: str
    identity: Identity | None = None


class ChannelProvider(Protocol):
    """How a host is reached, and the tunnels by which this node is reached itself; None: as it is, unencrypted."""

    @property
    def tunnels(self) -> TlsTunnels | None:
        """Return what a ticket gives."""

    def open(self, host: str, port: int, seconds: float) -> contextlib.AbstractAsyncContextManager[ChannelTarget]:
        """Give a target for gRPC while the context lasts; ``OSError`` saying why if there is none in time."""


class PlainChannels:
    """Without encryption, and not beyond this machine unless ``anywhere``."""

    tunnels = None

    def __init__(self, *, anywhere: bool = False) -> None:
        self._anywhere = anywhere

    @contextlib.asynccontextmanager
    async def open(self, host: str, port: int, seconds: float) -> AsyncIterator[ChannelTarget]:  # noqa: ARG002
        """Give the address itself."""
        if not self._anywhere and not is_loopback(host):
            raise OSError(f"{host} is not this machine, and this node has no ticket; see --ticket and --insecure")
        yield ChannelTarget(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


class TlsChannels:
    """Over TLS, to whom the same authority has given a ticket."""

    def __init__(self, tunnels: TlsTunnels) -> None:
        self.tunnels = tunnels

    @contextlib.asynccontextmanager
    async def open(self, host: str, port: int, seconds: float) -> AsyncIterator[ChannelTarget]:
        """Give a Unix socket that leads there. Raises ``PeerError`` too, if the other side's certificate is revoked."""
        outer, first = await self._connect(host, port, seconds)
        try:
            identity = self.tunnels.credentials.peer(outer.object)
            async with self._inner_end(identity, outer, first) as target:
                yield ChannelTarget(target, identity)
        finally:
            outer.close()

    async def _connect(self, host: str, port: int, seconds: float) -> tuple[TlsStream, bytes]:
        """Return the connection and the first bytes, which gRPC sends unasked once the other side has accepted us."""
        async with contextlib.AsyncExitStack() as unless_done:
            try:
                async with asyncio.timeout(seconds):
                    ends = await asyncio.open_connection(host, port, limit=CHUNK)
                    outer = TlsStream(*ends, self.tunnels.credentials.client)
                    unless_done.callback(outer.close)
                    await outer.shake_hands()
                    first = await outer.read()
            except OSError as error:
                raise OSError(_why(error, seconds)) from error
            if not first:
                raise OSError("closed the connection after the handshake; has it revoked this node, or too many links?")
            unless_done.pop_all()
        return outer, first

    @contextlib.asynccontextmanager
    async def _inner_end(self, identity: Identity, outer: TlsStream, first: bytes) -> AsyncIterator[str]:
        path = self.tunnels.path()
        callers: asyncio.Queue[Ends] = asyncio.Queue()
        listener = await asyncio.start_unix_server(lambda *ends: callers.put_nowait(ends), path, limit=CHUNK)

        async def carry() -> None:
            inner = await callers.get()
            listener.close()  # one channel, one connection
            await self.tunnels.carry(identity, outer, inner, first)

        carrying = asyncio.ensure_future(carry())
        try:
            yield f"unix:{path}"
        finally:
            listener.close()
            carrying.cancel()
            await asyncio.gather(carrying, return_exceptions=True)
            path.unlink(missing_ok=True)


def _why(error: OSError, seconds: float) -> str:
    if isinstance(error, TimeoutError) and not error.errno:
        return f"no connection within {seconds:g} s (is the node running, the port open?)"
    if isinstance(error, (ssl.SSLError, ConnectionResetError)):
        return dialer_problem(error)
    return f"refused the connection ({error.strerror or error}); is the node running, the port open?"


async def answers_with_tls(host: str, port: int) -> bool:
    """Return whether a node talks TLS, as one that has a ticket does. Whose it is is not looked at."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except OSError:
        return False
    writer.transport.abort()
    return True
