"""Relays bytes between TLS and gRPC, and knows the identity at the other side of each open connection.

gRPC's own TLS does not tell Python why a handshake failed, nor a client which certificate the server showed. So TLS
is Python's here, and gRPC talks plaintext over Unix sockets in a directory that only this user may enter.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from dslnode.errors import PeerError, SettingsError
from dslnode.security.credentials import Credentials
from dslnode.security.identity import Identity
from dslnode.security.socket_directory import SocketDirectory, make_socket_directory, parent_directories
from dslnode.security.tls_stream import CHUNK, TlsStream

LINGER_SECONDS = 5.0
"""How long a closed tunnel may take to send what waits, before that is dropped."""
StreamPair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, eq=False)
class TlsTunnel:
    """One connection whose other side has proved its identity."""

    identity: Identity
    outer: TlsStream


class TlsTunnels:
    """The open tunnels of a node, its credentials, and the directory of its Unix sockets."""

    def __init__(self, credentials: Credentials, state_dir: Path | None = None) -> None:
        self.credentials = credentials
        self.parents = parent_directories(state_dir)
        self._open: set[TlsTunnel] = set()
        self._directory: SocketDirectory | None = None
        self._paths_given = 0

    def open_directory(self) -> None:
        """Make the directory of the Unix sockets now; ``SettingsError`` if that is not possible anywhere."""
        try:
            self._intact_directory()
        except OSError as error:
            raise SettingsError(str(error)) from error

    def path(self) -> Path:
        """Return a new path for a Unix socket; ``OSError`` if no directory can be made.

        A directory that has vanished is made again.
        """
        directory = self._intact_directory()
        self._paths_given += 1
        return directory.path / str(self._paths_given)

    def _intact_directory(self) -> SocketDirectory:
        if self._directory is None or not self._directory.is_intact():
            self.remove()
            self._directory = make_socket_directory(self.parents)
        return self._directory

    def count(self, identity: Identity) -> int:
        """Return how many tunnels to this node are open."""
        return Counter(tunnel.identity.node_id for tunnel in self._open)[identity.node_id]

    def __len__(self) -> int:
        return len(self._open)

    async def relay(self, identity: Identity, outer: TlsStream, inner: StreamPair, first: bytes = b"") -> None:
        """Relay bytes both ways until either side closes, then close both. ``first`` goes to ``inner`` before all."""
        tunnel = TlsTunnel(identity, outer)
        self._open.add(tunnel)
        try:
            inner[1].write(first)
            directions = (_relay_inwards(outer, inner[1]), _relay_outwards(inner[0], outer))
            tasks = [asyncio.ensure_future(direction) for direction in directions]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        except asyncio.CancelledError:
            inner[1].transport.abort()  # this node's own gRPC is done with it
            raise
        finally:
            self._open.discard(tunnel)
            outer.close()  # after sending what waits, as the other does
            inner[1].close()
            loop = asyncio.get_running_loop()
            loop.call_later(LINGER_SECONDS, outer.abort)
            loop.call_later(LINGER_SECONDS, inner[1].transport.abort)

    def recheck(self) -> list[tuple[Identity, PeerError]]:
        """Close the tunnels whose identity is not valid any more; return these identities, and why."""
        closed = []
        for tunnel in list(self._open):
            try:
                self.credentials.check(tunnel.identity)
            except PeerError as error:
                tunnel.outer.abort()
                closed.append((tunnel.identity, error))
        return closed

    def remove(self) -> None:
        """Remove the directory of the Unix sockets."""
        if self._directory is not None:
            self._directory.close()
            self._directory = None


async def _relay_inwards(outer: TlsStream, inner: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await outer.read():
            inner.write(data)
            await inner.drain()


async def _relay_outwards(inner: asyncio.StreamReader, outer: TlsStream) -> None:
    with contextlib.suppress(OSError):
        while data := await inner.read(CHUNK):
            await outer.write(data)
