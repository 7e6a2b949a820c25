"""A TLS connection over asyncio's plain streams.

asyncio's own TLS drops the alert that refuses a handshake, so the other side would not know why.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl

from dslnode.security.identity import SERVER_NAME

CHUNK = 1 << 16
LOST_MILLISECONDS = 15_000
"""Milliseconds for which the kernel resends what is not acknowledged; gRPC's keepalive takes as long."""


class TlsStream:
    """Either side of a connection. ``handshake`` comes first. TLS errors are ``OSError``s, like all others here."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext) -> None:
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # do not keep unsent data for a peer that is gone
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, LOST_MILLISECONDS)
        self._reader = reader
        self._writer = writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = context.protocol is ssl.PROTOCOL_TLS_SERVER
        name = None if server else SERVER_NAME
        self.object = context.wrap_bio(self._incoming, self._outgoing, server_side=server, server_hostname=name)

    async def first_bytes(self) -> None:
        """Return when the other side has said anything. A listener waits for that anyway."""
        if not await self._fill():
            raise ConnectionResetError("the connection was closed before the TLS handshake")

    async def handshake(self) -> None:
        """Return when the handshake is done for this side. The other side may still refuse."""
        while True:
            try:
                self.object.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._fill():
                    raise ConnectionResetError("the connection was closed during the TLS handshake") from None
            except ssl.SSLError:
                await self._flush()  # the alert that says why
                raise
            else:
                await self._flush()
                return

    async def read(self) -> bytes:
        """Return what arrived, at most ``CHUNK`` bytes; nothing at the end."""
        while True:
            try:
                data = self.object.read(CHUNK)
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._fill():
                    return b""
            except ssl.SSLZeroReturnError:
                return b""
            else:
                return data

    async def write(self, data: bytes) -> None:
        """Send; returns when the kernel, or a small buffer before it, has taken it."""
        view = memoryview(data)
        while view:
            view = view[self.object.write(view) :]
        await self._flush()

    def close(self) -> None:
        """Announce the end, and close when what waits is sent."""
        with contextlib.suppress(ssl.SSLError, OSError):
            self.object.unwrap()
        self._writer.write(self._outgoing.read())
        self._writer.close()

    def abort(self) -> None:
        """Close at once."""
        self._writer.transport.abort()

    async def _fill(self) -> bool:
        data = await self._reader.read(CHUNK)
        self._incoming.write(data)
        return bool(data)

    async def _flush(self) -> None:
        if self._outgoing.pending:
            self._writer.write(self._outgoing.read())
            await self._writer.drain()
