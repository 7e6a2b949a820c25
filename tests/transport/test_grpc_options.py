"""The options of gRPC's servers: connections are bounded by what the process may open."""

from __future__ import annotations

import asyncio
import resource

import pytest

from dslnode.transport import server
from dslnode.transport.grpc_options import (
    DESCRIPTORS_PER_CONNECTION,
    MAX_CONNECTIONS,
    descriptor_limit,
    server_options,
)
from dslnode.transport.link_events import LinkUp
from tests.transport.nodes import Loopback

OPENING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # of HTTP/2 (RFC 9113, section 3.4)


@pytest.mark.parametrize(("descriptors", "connections"), [(1 << 20, MAX_CONNECTIONS), (256, 64), (2, 1)])
def test_a_process_keeps_descriptors_for_its_own_files(descriptors: int, connections: int) -> None:
    assert dict(server_options(descriptors))["grpc.max_allowed_incoming_connections"] == connections


def test_the_limit_of_this_process() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    try:
        assert descriptor_limit() == soft - 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_connections_without_a_call_cannot_take_all_descriptors(
    net: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "descriptor_limit", lambda: 3 * DESCRIPTORS_PER_CONNECTION)
    node, neighbour = await net.node(1), await net.node(2)
    node.dial(neighbour.address)  # its own links do not count: it dials them
    await net.news.until(lambda: node.all(LinkUp))
    ends = []
    for _ in range(8):
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        writer.write(OPENING)
        ends.append((reader, writer))
    async with asyncio.timeout(10):
        first = [await _first(reader) for reader, _ in ends]
    assert [bool(data) for data in first].count(True) == 3, "those have HTTP/2's settings, the others the end"
    for _, writer in ends:
        writer.close()
    late = await net.node(3)
    late.dial(node.address)
    await net.connected(node, late)


async def _first(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(9)
    except ConnectionError:
        return b""
