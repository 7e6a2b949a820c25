"""Hostile strangers on both ends of the wire: whatever they send, the node refuses, counts, and goes on."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
import socket
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import grpc.aio
import pytest
import pytest_asyncio

from dslnode.protocol.codec.mask_codec import CHUNK_BYTES, encode
from dslnode.protocol.mask import MaskLayout
from dslnode.protocol.messages import IntervalRequest
from dslnode.transport import connection_manager as network_module
from dslnode.transport import link as link_module
from dslnode.transport import peer_bans, rate_limit
from dslnode.transport.frame_codec import MAX_OPENINGS
from dslnode.transport.grpc_options import MESSAGE_BYTES
from dslnode.transport.link import FAREWELL_SECONDS
from dslnode.transport.link_events import DialFailed, LinkDown, LinkUp, MaskArrived, PeerRefused
from dslnode.v1 import node_pb2 as pb
from tests.transport.nodes import LARGE, SMALL, Loopback, Node, message, node_info, soon

CONVERSE = "/dslnode.v1.Neighbour/Converse"
GARBAGE = b"\xff\xfe\xfd no frame"
STRANGER = replace(node_info(66), codecs=frozenset())
GREETING = pb.Frame(hello=STRANGER.to_proto(0)).SerializeToString()

OPENING = pb.Frame(greeting=pb.Greeting(epoch=1, checksum=bytes(8), opening=True))

RawCall = grpc.aio.StreamStreamCall[bytes, bytes]


class Stranger:
    """A client that sends whatever bytes it likes."""

    def __init__(self, address: str) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
        self._channel = grpc.aio.insecure_channel(address, options=options)
        self._call: RawCall = self._channel.stream_stream(CONVERSE)()  # no serialisers: bytes

    async def __aenter__(self) -> Stranger:
        """Begin a conversation."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drop the connection."""
        await self._channel.close()

    async def send(self, *frames: bytes | pb.Frame) -> None:
        """Send frames until the other side takes no more."""
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            for frame in frames:
                await self._call.write(frame if isinstance(frame, bytes) else frame.SerializeToString())

    async def greet(self, greeting: bytes = GREETING) -> None:
        """Send a hello as an honest neighbour does, and read the answer."""
        await self.send(greeting)
        assert (await self.read()).HasField("hello")

    async def read(self) -> pb.Frame:
        """Return the next frame; an empty one if the conversation ended."""
        async with asyncio.timeout(10):
            try:
                raw = await self._call.read()
            except grpc.aio.AioRpcError:
                return pb.Frame()
        return pb.Frame.FromString(raw) if isinstance(raw, bytes) else pb.Frame()

    async def end(self) -> str:
        """Read to the end of the conversation and return the reason of the refusal; empty if there was none."""
        for _ in range(100):
            frame = await self.read()
            if not frame.HasField("hello"):
                return frame.refusal.reason
        raise AssertionError("the conversation has no end")


def header(coded_bytes: int = SMALL.byte_size, check: bytes = bytes(8), round_number: int = 0) -> pb.Frame:
    """Return a mask header."""
    return pb.Frame(
        mask=pb.MaskHeader(
            round=round_number,
            kind=pb.MaskKind.MASK_KIND_KEEP,
            codec=pb.Codec.CODEC_RAW,
            coded_bytes=coded_bytes,
            checksum=check,
        )
    )


def chunk(data: bytes) -> pb.Frame:
    """Return a mask chunk."""
    return pb.Frame(chunk=pb.MaskChunk(data=data))


@pytest_asyncio.fixture
async def node(net: Loopback) -> AsyncIterator[Node]:
    """Give a test a node to attack; afterwards it must still take an honest neighbour and its mask."""
    attacked = await net.node(1)
    yield attacked
    await still_works(net, attacked)


async def still_works(net: Loopback, attacked: Node) -> None:
    """Connect an honest neighbour and exchange masks both ways."""
    honest = await net.node(2, attacked.layout)
    honest.dial(attacked.address)
    await net.connected(attacked, honest)
    attacked.network.send(honest.me.key, message(attacked.layout, 1, 1))
    honest.network.send(attacked.me.key, message(attacked.layout, 2, 2))
    await net.news.until(lambda: attacked.all(MaskArrived) and honest.all(MaskArrived))
    assert attacked.all(MaskArrived) == [MaskArrived(honest.me, message(attacked.layout, 2, 2))]
    assert not honest.refusals()
    assert all(link.neighbour == honest.me for link in attacked.network.links.values())


def errors_of_grpc(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what gRPC logged as an error, such as an unexpected exception."""
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR and r.name.startswith("grpc")]


async def test_a_silent_peer_is_refused_in_time(net: Loopback, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_module, "HELLO_SECONDS", 0.05)
    async with Stranger(node.address) as stranger:
        assert await stranger.end() == "silent"
    monkeypatch.setattr(network_module, "HELLO_SECONDS", 5)
    assert node.all(PeerRefused)[0].explanation == "said nothing within 0.05 s of connecting"
    await net.news.until(lambda: node.refusals() == ["silent"])


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (GARBAGE, "garbage"),
        (b"", "no_hello"),
        (header().SerializeToString(), "no_hello"),
        (pb.Frame(hello=pb.Hello(protocol=9)).SerializeToString(), "protocol"),
        (pb.Frame(hello=pb.Hello(protocol=1)).SerializeToString(), "bad_hello"),
        (pb.Frame(refusal=pb.Refusal(reason="made_up_%d")).SerializeToString(), "peer_refused"),
    ],
    ids=["garbage", "empty", "mask", "protocol", "bounds", "refusal"],
)
async def test_a_wrong_first_frame_is_refused_with_a_reason_and_counted(node: Node, first: bytes, reason: str) -> None:
    async with Stranger(node.address) as stranger:
        await stranger.send(first)
        assert await stranger.end() == reason
    assert node.refusals() == [reason]
    assert not node.all(LinkUp)


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([GARBAGE], "garbage"),
        ([b""], "unexpected_frame"),
        ([GREETING], "unexpected_frame"),
        ([OPENING] * (MAX_OPENINGS + 1), "unexpected_frame"),
        ([header(2**32 - 1)], "mask_size"),
        ([header(SMALL.byte_size - 1)], "mask_size"),
        ([header(check=b"short")], "checksum"),
        ([header(round_number=2**31)], "far_future"),
        ([header(), header()], "unexpected_header"),
        ([chunk(b"x")], "unexpected_chunk"),
        ([header(), chunk(b"")], "chunk_size"),
        ([header(), chunk(bytes(CHUNK_BYTES))], "chunk_size"),
        ([header(), chunk(bytes(SMALL.byte_size))], "checksum"),
        ([header(), chunk(b"x"), GARBAGE], "garbage"),
    ],
)
async def test_a_neighbour_that_breaks_a_rule_is_refused_with_a_reason_and_counted(
    net: Loopback, node: Node, frames: list[bytes | pb.Frame], reason: str
) -> None:
    async with Stranger(node.address) as stranger:
        await stranger.greet()
        await stranger.send(*frames)
        assert await stranger.end() == reason
        await net.news.until(lambda: node.all(LinkDown))
    assert node.refusals() == [reason]
    assert [report.neighbour for report in node.all(LinkDown)] == [STRANGER]
    assert not node.all(MaskArrived)


async def test_a_first_frame_over_the_limit_is_not_even_read(net: Loopback, node: Node) -> None:
    async with Stranger(node.address) as stranger:
        await stranger.send(bytes(MESSAGE_BYTES + 1))
        assert await stranger.end() == ""
        await net.news.until(node.refusals)
    assert node.refusals() == ["silent"]


async def test_a_later_frame_over_the_limit_ends_the_link(net: Loopback, node: Node) -> None:
    async with Stranger(node.address) as stranger:
        await stranger.greet()
        await stranger.send(header(), bytes(100 * MESSAGE_BYTES))
        assert await stranger.end() == ""
        await net.news.until(lambda: node.all(LinkDown))
    assert [report.neighbour for report in node.all(LinkDown)] == [STRANGER]


async def test_a_flood_of_chunks_ends_at_the_first_one_too_many(net: Loopback, node: Node) -> None:
    async with Stranger(node.address) as stranger:
        await stranger.greet()
        await stranger.send(header(), *[chunk(b"x")] * 1_000)
        await net.news.until(node.refusals)
    assert node.refusals() == ["checksum"]
    received = node.network.traffic[STRANGER.key].received
    assert received.payload_bits == 8 * SMALL.byte_size


async def test_a_flood_of_valid_frames_costs_no_more_than_one_mask(net: Loopback) -> None:
    attacked = await net.node(1, LARGE)
    async with Stranger(attacked.address) as stranger:
        await stranger.send(pb.Frame(hello=node_info(66, LARGE).to_proto(0)))
        assert (await stranger.read()).HasField("hello")
        packed = encode(message(LARGE, 1)).data
        frames = [header(LARGE.byte_size), *(chunk(packed[i : i + 100]) for i in range(0, 100_000, 100))]
        wire = [frame.SerializeToString() for frame in frames]
        gc.collect()
        tracemalloc.start()
        await stranger.send(*wire)
        received = attacked.network.traffic[STRANGER.key].received
        await soon(lambda: received.payload_bits == 8 * 100_000)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < LARGE.byte_size
    await net.news.until(lambda: attacked.all(LinkDown))
    await still_works(net, attacked)


async def test_a_flood_of_valid_messages_ends_the_link(
    net: Loopback, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "MESSAGES_PER_SECOND", 100.0)  # a busy machine sends a few hundred in all
    async with Stranger(node.address) as stranger:
        await stranger.greet()
        word = pb.Frame(pace=pb.Pace(seconds=1)).SerializeToString()
        sending = asyncio.ensure_future(stranger.send(*[word] * 100_000))
        await net.news.until(node.refusals)
        sending.cancel()
    assert node.refusals() == ["flood"]
    assert node.network.ban_reason(STRANGER.key) == "flood"


async def test_a_mask_that_is_never_completed_ends_the_link(
    net: Loopback, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "SLOWEST_SECONDS", 0.05)
    async with Stranger(node.address) as stranger:
        await stranger.greet()
        await stranger.send(header())
        await net.news.until(node.refusals)
    assert node.refusals() == ["slow"]


async def test_a_neighbour_that_reads_nothing_is_disconnected_before_the_outbox_fills_memory(
    net: Loopback, node: Node
) -> None:
    async with Stranger(node.address) as stranger:
        await stranger.greet()
        async with asyncio.timeout(20):
            while not node.refusals():
                node.network.send(STRANGER.key, IntervalRequest(1))
                await asyncio.sleep(0)
    assert node.refusals() == ["slow"]
    await net.news.until(lambda: node.all(LinkDown))


async def test_a_banned_neighbour_is_refused_on_every_link(net: Loopback, node: Node) -> None:
    async with Stranger(node.address) as stranger:
        await stranger.greet()
        await stranger.send(GARBAGE)
        await net.news.until(lambda: node.all(LinkDown))
    assert node.network.ban_reason(STRANGER.key) == "garbage"
    for _ in range(3):
        async with Stranger(node.address) as stranger:
            await stranger.send(GREETING)
            assert await stranger.end() == "banned"
    await net.news.until(lambda: len(node.refusals()) == 4)
    assert node.refusals() == ["garbage", *["banned"] * 3]
    assert len(node.all(LinkUp)) == 1


async def test_after_a_ban_the_neighbour_is_accepted_again(
    net: Loopback, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_bans, "FIRST_BAN_SECONDS", 0.05)
    async with Stranger(node.address) as stranger:
        await stranger.greet()
        await stranger.send(GARBAGE)
        await net.news.until(lambda: node.all(LinkDown))
    await soon(lambda: not node.network.ban_reason(STRANGER.key))
    async with Stranger(node.address) as stranger:
        await stranger.greet()
    await net.news.until(lambda: len(node.all(LinkDown)) == 2)


async def test_a_violation_that_the_owner_reports_ends_the_link(net: Loopback, node: Node) -> None:
    async with Stranger(node.address) as stranger:
        await stranger.greet()
        node.network.report_violation(STRANGER.key, "far_future", "sent a mask of another age")
        await net.news.until(lambda: node.all(LinkDown))
        assert node.network.ban_reason(STRANGER.key) == "far_future"


async def test_random_frames_never_get_past_a_refusal(
    net: Loopback, node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(1)
    for number in range(40):
        async with Stranger(node.address) as stranger:
            if number % 2:  # each with another node id, or it would be banned by now
                other = replace(node_info(100 + number), codecs=frozenset())
                await stranger.greet(pb.Frame(hello=other.to_proto(0)).SerializeToString())
            await stranger.send(*(chance.randbytes(chance.randrange(300)) for _ in range(5)))
            await net.news.until(lambda expected=number + 1: len(node.refusals()) == expected)  # type: ignore[misc]
    assert set(node.refusals()) <= {"garbage", "no_hello", "unexpected_frame"}
    assert len(node.all(LinkUp)) == 20
    assert not errors_of_grpc(caplog)


@pytest.mark.parametrize("greets", [False, True])
async def test_a_connection_that_closes_at_once_leaves_nothing_behind(
    net: Loopback, node: Node, caplog: pytest.LogCaptureFixture, greets: bool
) -> None:
    for _ in range(20):
        async with Stranger(node.address) as stranger:
            await (stranger.greet() if greets else stranger.send(GREETING))
    await net.news.until(lambda: not node.network.links)
    assert len(node.all(LinkUp)) >= len(node.all(LinkDown))
    assert not errors_of_grpc(caplog)


async def test_two_hundred_idle_connections_keep_no_peer_out(net: Loopback) -> None:
    node = await net.node(1)
    with contextlib.ExitStack() as idle:
        for _ in range(200):
            idle.enter_context(socket.create_connection(("127.0.0.1", node.port)))
        await still_works(net, node)


async def test_two_hundred_silent_conversations_keep_no_peer_out(
    net: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_module, "HELLO_SECONDS", 1.0)
    node = await net.node(1)
    async with contextlib.AsyncExitStack() as silent:
        strangers = [await silent.enter_async_context(Stranger(node.address)) for _ in range(200)]
        await still_works(net, node)
        assert {await stranger.end() for stranger in strangers} == {"silent"}
    assert node.refusals() == ["silent"] * 200


@pytest.mark.parametrize(
    "opening", [b"", b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], ids=["", "HTTP/1", "HTTP/2"]
)
async def test_bytes_that_are_not_http2_get_no_answer(node: Node, opening: bytes) -> None:
    chance = random.Random(2)
    for _ in range(10):
        _, writer = await asyncio.open_connection("127.0.0.1", node.port)
        writer.write(opening + chance.randbytes(10_000))
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    assert not node.all(LinkUp)


async def test_a_status_request_of_garbage_is_answered_with_an_error_only(node: Node) -> None:
    async with grpc.aio.insecure_channel(node.address) as channel:
        ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/dslnode.v1.Status/Get")
        with pytest.raises(grpc.aio.AioRpcError):
            await ask(GARBAGE)


class HostileServer:
    """A server that follows a script in place of the protocol, on each conversation."""

    def __init__(self, script: Callable[[grpc.aio.ServicerContext[bytes, bytes]], Awaitable[None]]) -> None:
        async def converse(_requests: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
            await script(context)

        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(converse)
        self._server = grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("dslnode.v1.Neighbour", {"Converse": handler}),)
        )
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    async def __aenter__(self) -> HostileServer:
        """Serve."""
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop."""
        await self._server.stop(0)


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([GARBAGE], "garbage"),
        ([b""], "no_hello"),
        ([], "silent"),
        ([GREETING, GARBAGE], "garbage"),
        ([GREETING, header(2**32 - 1).SerializeToString()], "mask_size"),
        ([GREETING, chunk(b"x").SerializeToString()], "unexpected_chunk"),
        ([pb.Frame(hello=node_info(1).to_proto(0)).SerializeToString()], "self"),
    ],
)
async def test_a_hostile_server_is_refused_counted_and_dialled_on(
    net: Loopback, node: Node, frames: list[bytes], reason: str
) -> None:
    async def script(context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        for frame in frames:
            await context.write(frame)

    async with HostileServer(script) as server:
        task = node.dial(server.address)
        await net.news.until(lambda: len(node.refusals()) >= 2 or task.done())
        assert not task.done()
    assert set(node.refusals()) == {reason}
    assert not node.network.links


async def test_a_server_that_sends_too_much_or_dies_in_a_message_is_dialled_on(net: Loopback, node: Node) -> None:
    async def script(context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        if node.all(DialFailed):
            await context.abort(grpc.StatusCode.INTERNAL, "\x1b[2J" + "long " * 500)
        await context.write(bytes(MESSAGE_BYTES + 1))

    async with HostileServer(script) as server:
        task = node.dial(server.address)
        await net.news.until(lambda: len(node.all(DialFailed)) >= 2 or task.done())
        assert not task.done()
    assert all(report.explanation.isprintable() and len(report.explanation) <= 200 for report in node.all(DialFailed))
    assert "long" in node.all(DialFailed)[1].explanation


@pytest.mark.parametrize("end", ["dialled", "answered"])
async def test_a_neighbour_that_reads_nothing_cannot_keep_a_node_from_leaving(net: Loopback, end: str) -> None:
    layout = MaskLayout((*LARGE.layers, *SMALL.layers))
    node, deaf = await net.node(1, layout), node_info(66, layout)
    wakes = asyncio.Event()

    async def script(context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        await context.read()
        await context.write(pb.Frame(hello=deaf.to_proto(0)).SerializeToString())
        await wakes.wait()

    async with HostileServer(script) as server, Stranger(node.address) as stranger:
        if end == "dialled":
            node.dial(server.address)
        else:
            await stranger.send(pb.Frame(hello=deaf.to_proto(0)))
        await net.news.until(lambda: node.all(LinkUp))
        for round_number in range(2):
            node.network.send(deaf.key, message(layout, 1, round_number))
        node.network.leave("it is stopping")
        async with asyncio.timeout(FAREWELL_SECONDS + 5):
            await node.network.wait_until_no_links()
        wakes.set()
    assert [report.explanation for report in node.all(LinkDown)] == ["this node left"]


async def test_the_frames_of_these_tests_are_honest_with_the_right_checksum(net: Loopback, node: Node) -> None:
    async with Stranger(node.address) as stranger:
        await stranger.greet()
        mask = encode(message(SMALL, 2))
        await stranger.send(header(check=mask.checksum, round_number=2), chunk(mask.data))
        await net.news.until(lambda: node.all(MaskArrived))
    assert node.all(MaskArrived) == [MaskArrived(STRANGER, message(SMALL, 2, 2))]
    node.events.clear()
