"""A call that ends gRPC's main loop breaks no link, and the node goes on listening."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path

import grpc.aio
import pytest

from dslnode.errors import DslnodeError
from dslnode.protocol.mask import MaskLayout
from dslnode.security.channels import TlsChannels
from dslnode.transport import restarting_server
from dslnode.transport.link_events import LinkDown, MaskArrived
from dslnode.transport.restarting_server import RestartingServer
from tests.fuzz.http2 import END_HEADERS, HEADERS, PREFACE, SETTINGS, frame
from tests.networks import Operator
from tests.transport.nodes import SMALL, Loopback, Node, message, soon
from tests.transport.test_strangers import member

ANSWER_SECONDS = 5.0


def call_with_bad_path() -> bytes:
    """Return a call whose path is no UTF-8, as HTTP/2 (RFC 9113) allows it to be."""
    fields = {b":method": b"POST", b":scheme": b"http", b":path": b"/\x80/x", b":authority": b"x", b"te": b"trailers"}
    fields[b"content-type"] = b"application/grpc"
    block = b"".join(b"\0" + b"".join(bytes([len(part)]) + part for part in field) for field in fields.items())
    return PREFACE + frame(SETTINGS) + frame(HEADERS, block, END_HEADERS, 1)


async def send_bad_call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send the call, and wait until the server closes the connection or is silent."""
    writer.write(call_with_bad_path())
    with contextlib.suppress(OSError, TimeoutError):
        await writer.drain()
        async with asyncio.timeout(0.2):
            while await reader.read(65_536):
                pass
    writer.close()


async def fail_server(node: Node, times: int, target: str = "") -> None:
    """Make a node's gRPC server fail and be replaced, so many times."""
    server = node.server._server
    for _ in range(times):
        failed = server._servers[:]
        opened = asyncio.open_unix_connection(target) if target else asyncio.open_connection("127.0.0.1", node.port)
        with contextlib.suppress(OSError):
            await send_bad_call(*await opened)
        await soon(lambda failed=failed: server._servers and server._servers != failed)  # type: ignore[misc]


async def exchange(net: Loopback, sender: Node, receiver: Node, layout: MaskLayout, number: int) -> None:
    before = len(receiver.all(MaskArrived))
    sender.network.send(receiver.me.key, message(layout, number, round_number=number))
    await net.news.until(lambda: len(receiver.all(MaskArrived)) > before)


async def test_open_links_survive_and_new_ones_are_accepted(net: Loopback) -> None:
    first, second = await net.pair()
    await fail_server(second, 3)
    await exchange(net, first, second, SMALL, 1)
    await exchange(net, second, first, SMALL, 2)
    third = await net.node(3)
    third.dial(second.address)
    await net.connected(second, third)
    assert not first.all(LinkDown)


async def test_a_holder_of_a_ticket_cannot_stop_the_node_from_listening(net: Loopback, tmp_path: Path) -> None:
    operator = Operator(tmp_path / "authority")
    host = await net.start(member(net, operator.ticket("host"), 1))
    board, attacker, late = (
        member(net, operator.ticket(name), 2 + i) for i, name in enumerate(("board", "attacker", "late"))
    )
    for node in (board, attacker, late):
        await net.start(node)
    board.dial(host.address)
    await net.connected(host, board)
    assert attacker.tunnels is not None
    for _ in range(2):
        async with TlsChannels(attacker.tunnels).open("127.0.0.1", host.port, ANSWER_SECONDS) as channel_target:
            await fail_server(host, 1, channel_target.target.removeprefix("unix:"))
    late.dial(host.address)
    await net.connected(host, late)
    await exchange(net, board, host, SMALL, 1)
    assert not host.all(LinkDown)


async def test_a_node_stops_in_time_while_its_server_fails(net: Loopback) -> None:
    node = await net.node(1)
    _, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(call_with_bad_path())
    await writer.drain()
    async with asyncio.timeout(ANSWER_SECONDS):
        await node.server.stop(0.1)
    writer.close()


async def test_with_port_0_the_port_stays_the_same(net: Loopback) -> None:
    node = await net.node(1)
    await fail_server(node, 2)
    other = await net.node(2)
    other.dial(node.address)
    await net.connected(node, other)


async def test_a_grpcio_without_the_main_loop_is_an_error_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarting_server, "MAIN_LOOP", "_renamed_main_loop")
    server = RestartingServer(grpc.aio.server, lambda server: server.add_insecure_port("127.0.0.1:0"))
    expected = rf"grpcio {re.escape(grpc.__version__)} has no task named _renamed_main_loop.* report this"
    with pytest.raises(DslnodeError, match=expected):
        await server.start()
    assert not server.is_open()
