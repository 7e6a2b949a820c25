"""Carries bytes between TLS and gRPC: the open connections of a node that has a ticket, and who is at their other ends.

gRPC's own TLS hides from Python why a handshake failed, and from a client whose certificate the server showed. So
TLS is Python's here, and gRPC talks plaintext over Unix sockets in a directory that nobody else may enter.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from dslnode.errors import PeerError
from dslnode.security.credentials import Credentials
from dslnode.security.identity import Identity
from dslnode.security.tls_stream import CHUNK, TlsStream

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, eq=False)
class TlsTunnel:
    """One connection whose other end has proved who it is."""

    identity: Identity
    outer: TlsStream


class TlsTunnels:
    """All open tunnels of a node, the credentials they were opened with, and the directory of their Unix sockets."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self._open: set[TlsTunnel] = set()
        self._directory: Path | None = None
        self._count = 0

    def path(self) -> Path:
        """Return the path for a new Unix socket; ``OSError`` if there is nowhere to make one."""
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="dslnode-"))  # mode 0700
        self._count += 1
        return self._directory / str(self._count)

    def count(self, identity: Identity) -> int:
        """Return how many tunnels to this node are open."""
        return Counter(tunnel.identity.node_id for tunnel in self._open)[identity.node_id]

    def __len__(self) -> int:
        return len(self._open)

    async def carry(self, identity: Identity, outer: TlsStream, inner: Ends, first: bytes = b"") -> None:
        """Carry bytes both ways, ``first`` to the inner end before all, until either end closes; then close both."""
        tunnel = TlsTunnel(identity, outer)
        self._open.add(tunnel)
        try:
            inner[1].write(first)
            pumps = [asyncio.ensure_future(pump) for pump in (_inwards(outer, inner[1]), _outwards(inner[0], outer))]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            self._open.discard(tunnel)
            outer.close()  # sends what waits first, as the other does
            inner[1].close()

    def recheck(self) -> list[tuple[Identity, PeerError]]:
        """Cut off whoever may not talk with us any more; return who, and why."""
        cut = []
        for tunnel in list(self._open):
            try:
                self.credentials.check(tunnel.identity)
            except PeerError as error:
                tunnel.outer.abort()
                cut.append((tunnel.identity, error))
        return cut

    def remove(self) -> None:
        """Remove the directory of the Unix sockets."""
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)


async def _inwards(outer: TlsStream, inner: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await outer.read():
            inner.write(data)
            await inner.drain()


async def _outwards(inner: asyncio.StreamReader, outer: TlsStream) -> None:
    with contextlib.suppress(OSError):
        while data := await inner.read(CHUNK):
            await outer.write(data)
