"""How a dialling node reaches another one: plaintext on this machine, TLS with a ticket."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from dslnode.addresses import grpc_address, is_loopback
from dslnode.name_lookup import LOOKUP_SECONDS, connect, resolve
from dslnode.security.identity import Identity
from dslnode.security.socket_directory import grpc_target
from dslnode.security.tls_errors import problem_of_listener
from dslnode.security.tls_stream import CHUNK, TlsStream
from dslnode.security.tls_tunnels import StreamPair, TlsTunnels

TLS_CHECK_SECONDS = 1.0


@dataclass(frozen=True)
class ChannelTarget:
    """Where gRPC connects to reach the other node."""

    target: str  # as gRPC writes targets
    identity: Identity | None = None  # what the other node has proved; None without TLS


class ChannelProvider(Protocol):
    """Opens channels to other nodes."""

    @property
    def tunnels(self) -> TlsTunnels | None:
        """Return the tunnels of a node that has a ticket; None without one."""

    def open(self, host: str, port: int, seconds: float) -> contextlib.AbstractAsyncContextManager[ChannelTarget]:
        """Provide a target for gRPC while the context lasts; ``OSError`` if there is none within ``seconds``."""


class PlainChannels:
    """Channels without encryption; beyond this machine only if ``anywhere``."""

    tunnels = None

    def __init__(self, *, anywhere: bool = False) -> None:
        self._anywhere = anywhere

    @contextlib.asynccontextmanager
    async def open(self, host: str, port: int, seconds: float) -> AsyncIterator[ChannelTarget]:  # noqa: ARG002
        """Provide the address itself."""
        if not self._anywhere and not is_loopback(host):
            raise OSError(f"{host} is not this machine, and this node has no ticket; see --ticket and --insecure")
        yield ChannelTarget(grpc_address(host, port))


class TlsChannels:
    """Channels over TLS, to nodes with a ticket of the same authority."""

    def __init__(self, tunnels: TlsTunnels) -> None:
        self.tunnels = tunnels

    @contextlib.asynccontextmanager
    async def open(self, host: str, port: int, seconds: float) -> AsyncIterator[ChannelTarget]:
        """Provide a Unix socket that leads there. Raises ``PeerError`` if the other side's certificate is not valid."""
        outer, first = await self._connect(host, port, seconds)
        try:
            identity = self.tunnels.credentials.peer(outer.object)
            async with self._unix_socket(identity, outer, first) as target:
                yield ChannelTarget(target, identity)
        finally:
            outer.close()

    async def _connect(self, host: str, port: int, seconds: float) -> tuple[TlsStream, bytes]:
        """Return the connection and its first bytes: gRPC sends them once it has accepted our certificate."""
        endpoints = await resolve(host, port, min(seconds, LOOKUP_SECONDS))
        async with contextlib.AsyncExitStack() as unless_done:
            try:
                async with asyncio.timeout(seconds):
                    streams = await asyncio.open_connection(sock=await connect(endpoints), limit=CHUNK)
                    outer = TlsStream(*streams, self.tunnels.credentials.client)
                    unless_done.callback(outer.close)
                    await outer.handshake()
                    first = await outer.read()
            except OSError as error:
                raise OSError(_explain(error, seconds)) from error
            if not first:
                raise OSError("closed the connection after the handshake; has it revoked this node, or too many links?")
            unless_done.pop_all()
        return outer, first

    @contextlib.asynccontextmanager
    async def _unix_socket(self, identity: Identity, outer: TlsStream, first: bytes) -> AsyncIterator[str]:
        path = self.tunnels.path()
        connections: asyncio.Queue[StreamPair] = asyncio.Queue()
        listener = await asyncio.start_unix_server(lambda *streams: connections.put_nowait(streams), path, limit=CHUNK)

        async def relay() -> None:
            inner = await connections.get()
            listener.close()  # one channel, one connection
            await self.tunnels.relay(identity, outer, inner, first)

        relaying = asyncio.ensure_future(relay())
        try:
            yield grpc_target(path)
        finally:
            listener.close()
            relaying.cancel()
            await asyncio.gather(relaying, return_exceptions=True)
            path.unlink(missing_ok=True)


def _explain(error: OSError, seconds: float) -> str:
    if isinstance(error, TimeoutError) and not error.errno:
        return f"no connection within {seconds:g} s (is the node running, the port open?)"
    if isinstance(error, (ssl.SSLError, ConnectionResetError)):
        return problem_of_listener(error)
    return f"refused the connection ({error.strerror or error}); is the node running, the port open?"


async def answers_with_tls(host: str, port: int) -> bool:
    """Return whether a node talks TLS, as one with a ticket does. Its certificate is not checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(TLS_CHECK_SECONDS):
            connection = await connect(await resolve(host, port))
            _, writer = await asyncio.open_connection(sock=connection, ssl=context, server_hostname="")
    except OSError:
        return False
    writer.transport.abort()
    return True
