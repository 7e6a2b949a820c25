"""A call that ends gRPC's own loop costs nobody a link, and the node listens on."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from dslnode.protocol.mask import MaskLayout
from dslnode.security.channels import TlsChannels
from dslnode.transport.link_events import LinkDown, MaskArrived
from tests.fuzz.http2 import END_HEADERS, HEADERS, PREFACE, SETTINGS, frame
from tests.networks import Operator
from tests.transport.nodes import SMALL, Loopback, Node, message, soon
from tests.transport.test_strangers import member

ANSWER_SECONDS = 5.0


def call_of_no_name() -> bytes:
    """Return a call whose path is no UTF-8, as HTTP/2 (RFC 9113) allows it to be."""
    fields = {b":method": b"POST", b":scheme": b"http", b":path": b"/\x80/x", b":authority": b"x", b"te": b"trailers"}
    fields[b"content-type"] = b"application/grpc"
    block = b"".join(b"\0" + b"".join(bytes([len(part)]) + part for part in field) for field in fields.items())
    return PREFACE + frame(SETTINGS) + frame(HEADERS, block, END_HEADERS, 1)


async def strike(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Make the call, and wait until the server has done with the connection or says nothing more."""
    writer.write(call_of_no_name())
    with contextlib.suppress(OSError, TimeoutError):
        await writer.drain()
        async with asyncio.timeout(0.2):
            while await reader.read(65_536):
                pass
    writer.close()


async def struck(node: Node, times: int, target: str = "") -> None:
    """Let a node's server fail so many times."""
    before, done = node.server._server, 0
    while done < times:
        failed = before._servers[:]
        opened = asyncio.open_unix_connection(target) if target else asyncio.open_connection("127.0.0.1", node.port)
        with contextlib.suppress(OSError):
            await strike(*await opened)
        await soon(lambda failed=failed: before._servers and before._servers != failed)  # type: ignore[misc]
        done += 1


async def exchange(net: Loopback, giver: Node, taker: Node, layout: MaskLayout, number: int) -> None:
    before = len(taker.all(MaskArrived))
    giver.network.send(taker.me.key, message(layout, number, round_number=number))
    await net.news.until(lambda: len(taker.all(MaskArrived)) > before)


async def test_links_outlive_it_and_newcomers_are_taken_in(net: Loopback) -> None:
    one, other = await net.pair()
    await struck(other, 3)
    await exchange(net, one, other, SMALL, 1)
    await exchange(net, other, one, SMALL, 2)
    third = await net.node(3)
    third.dial(other.address)
    await net.connected(other, third)
    assert not one.all(LinkDown)


async def test_a_holder_of_a_ticket_cannot_close_the_door_by_it(net: Loopback, tmp_path: Path) -> None:
    operator = Operator(tmp_path / "authority")
    host = await net.start(member(net, operator.ticket("host"), 1))
    board, liar, late = (member(net, operator.ticket(name), 2 + i) for i, name in enumerate(("board", "liar", "late")))
    for node in (board, liar, late):
        await net.start(node)
    board.dial(host.address)
    await net.connected(host, board)
    assert liar.tunnels is not None
    for _ in range(2):
        async with TlsChannels(liar.tunnels).open("127.0.0.1", host.port, ANSWER_SECONDS) as opened:
            await struck(host, 1, opened.target.removeprefix("unix:"))
    late.dial(host.address)
    await net.connected(host, late)
    await exchange(net, board, host, SMALL, 1)
    assert not host.all(LinkDown)


async def test_a_node_stops_in_time_while_its_server_fails(net: Loopback) -> None:
    node = await net.node(1)
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(call_of_no_name())
    await writer.drain()
    async with asyncio.timeout(ANSWER_SECONDS):
        await node.server.stop(0.1)
    with contextlib.suppress(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_the_port_stays_the_same_where_any_was_asked_for(net: Loopback) -> None:
    node = await net.node(1)
    await struck(node, 2)
    other = await net.node(2)
    other.dial(node.address)
    await net.connected(node, other)
