"""Attackers with a ticket: raw HTTP/2 through TLS."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path

from dslnode.security.credentials import Credentials
from dslnode.security.tls_stream import TlsStream
from dslnode.security.tls_tunnels import TlsTunnels
from dslnode.transport.server import STOP_SECONDS
from tests.networks import Operator
from tests.transport.nodes import PATIENCE, Loopback, Node, node_info

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, PING = 4, 6


def http2_frame(kind: int, payload: bytes = b"") -> bytes:
    """Return a frame of stream 0 without flags (RFC 9113, section 4.1)."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, 0]) + bytes(4) + payload


@contextlib.asynccontextmanager
async def flooding(ticket: Path, port: int) -> AsyncIterator[None]:
    """Send pings without reading an answer, until no byte more is taken for a while; keep the connection open."""
    stream = TlsStream(*await asyncio.open_connection("127.0.0.1", port), Credentials(ticket, None).client)
    await stream.handshake()
    await stream.write(PREFACE + http2_frame(SETTINGS))
    pings = 1_000 * http2_frame(PING, bytes(8))

    async def flood() -> None:
        with contextlib.suppress(OSError):
            while True:
                await stream.write(pings)

    task = asyncio.ensure_future(flood())
    await asyncio.wait({task}, timeout=2)
    try:
        yield
    finally:
        task.cancel()
        stream.abort()


async def test_a_stop_waits_for_nobody_that_reads_nothing(net: Loopback, operator: Operator) -> None:
    me = node_info(1)
    node = await net.start(Node(net.news, me, tunnels=TlsTunnels(Credentials(operator.ticket("host"), None))))
    async with asyncio.timeout(PATIENCE), flooding(operator.ticket("attacker"), node.port):
        begun = time.monotonic()
        await node.server.stop(0.1)
        assert time.monotonic() - begun < STOP_SECONDS + 0.3
