"""The listening end: gRPC's standard services, status, and a port that cannot be had."""

from __future__ import annotations

import asyncio
import socket

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from dslnode.accounting.ledger import EARLIEST_HOUR, Amounts, Direction, Ledger, Period
from dslnode.accounting.ledger_messages import ask_ledger, row_messages
from dslnode.errors import ExitCode, ListenError
from dslnode.transport.link_events import LinkUp
from dslnode.transport.server import SERVICES, Server, read_address
from dslnode.v1 import node_pb2 as pb
from dslnode.v1 import node_pb2_grpc
from tests.transport.nodes import Loopback, Node, node_info

REFLECT = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
Question, Answer = health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse


async def health_of(channel: grpc.aio.Channel, service: str) -> health_pb2.HealthCheckResponse:
    """Ask the health service once; raw bytes, because its stubs are not typed for asyncio."""
    ask: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/grpc.health.v1.Health/Check")
    return Answer.FromString(await ask(Question(service=service).SerializeToString()))


def channel_to(node: Node) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(node.address, options=[("grpc.use_local_subchannel_pool", 1)])


@pytest.mark.parametrize("service", ["", "dslnode.v1.Neighbour", "dslnode.v1.Status"])
async def test_the_health_service_says_serving(net: Loopback, service: str) -> None:
    node = await net.node(1)
    async with channel_to(node) as channel:
        assert (await health_of(channel, service)).status == Answer.SERVING


async def test_the_health_service_does_not_know_other_services(net: Loopback) -> None:
    node = await net.node(1)
    async with channel_to(node) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await health_of(channel, "Mining")
    assert failed.value.code() is grpc.StatusCode.NOT_FOUND


async def test_the_health_watch_reports_that_the_server_stops(net: Loopback) -> None:
    node = await net.node(1)
    async with channel_to(node) as channel:
        ask: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream("/grpc.health.v1.Health/Watch")
        watch = ask(Question().SerializeToString())
        seen = [await watch.read()]
        await node.server.stop(0.1)
        seen.append(await watch.read())
    statuses = [Answer.FromString(raw).status for raw in seen if isinstance(raw, bytes)]
    assert statuses == [Answer.SERVING, Answer.NOT_SERVING]


async def test_an_absent_zone_is_named_at_the_start(net: Loopback) -> None:
    with pytest.raises(ListenError, match=r"\[fe80::1%absent0\]:1: this machine has no network interface 'absent0'"):
        await Node(net.news, node_info(1)).server.listen("[fe80::1%absent0]:1")


def test_a_zone_is_a_name_as_everywhere_else() -> None:
    index = socket.if_nametoindex("lo")
    assert read_address(f"ipv6:%5Bfe80::1%25{index}%5D:40312") == ("fe80::1%lo", 40_312)
    assert read_address("ipv6:%5Bfe80::1%25987654%5D:40312") == ("fe80::1%987654", 40_312)


async def test_it_is_open_from_when_it_listens_until_it_stops(net: Loopback) -> None:
    server = Node(net.news, node_info(1)).server
    seen = [server.is_open()]
    await server.listen("127.0.0.1:0")
    seen.append(server.is_open())
    await server.stop(0)
    assert [*seen, server.is_open()] == [False, True, False]


async def test_reflection_lists_all_services(net: Loopback) -> None:
    node = await net.node(1)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async with channel_to(node) as channel:
        ask: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(REFLECT)
        call = ask()
        await call.write(request.SerializeToString())
        raw = await call.read()
    assert isinstance(raw, bytes)
    reply = reflection_pb2.ServerReflectionResponse.FromString(raw)
    names = {service.name for service in reply.list_services_response.service}
    assert names == {*SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    assert set(SERVICES) == {"dslnode.v1.Neighbour", "dslnode.v1.Status"}


async def test_status_is_made_at_the_request(net: Loopback) -> None:
    node = await net.node(1)
    replies = [pb.StatusReply(name="board", round=number, accuracy=0.25) for number in (7, 8)]
    waiting = iter(replies)
    server = Server(node.network, lambda: next(waiting))
    port = await server.listen("127.0.0.1:0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = node_pb2_grpc.StatusStub(channel)
        assert [await stub.Get(pb.StatusRequest()) for _ in range(2)] == replies
    await server.stop(0)


async def test_a_port_that_is_taken_is_an_error_naming_address_and_option(net: Loopback) -> None:
    node = await net.node(1)
    second = Node(net.news, node_info(2))
    with pytest.raises(ListenError) as refused:
        await second.server.listen(node.address)
    assert node.address in str(refused.value)
    assert "--listen" in str(refused.value)
    assert refused.value.exit_code is ExitCode.LISTEN


async def test_a_port_taken_by_another_program_is_an_error_too(net: Loopback) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ListenError, match=address):
            await Node(net.news, node_info(1)).server.listen(address)


async def test_an_address_that_is_not_ours_is_an_error(net: Loopback) -> None:
    with pytest.raises(ListenError, match=r"192\.0\.2\.1:0"):
        await Node(net.news, node_info(1)).server.listen("192.0.2.1:0")


async def test_a_port_is_free_again_after_the_server_stopped(net: Loopback) -> None:
    first, second = await net.pair()
    await second.stop()
    assert (await net.start(second.restarted())).port == second.port
    await net.news.until(lambda: len(first.all(LinkUp)) == 2)


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.0.0.2:40312", ("10.0.0.2", 40312)),
        ("ipv6:%5B::1%5D:40312", ("::1", 40312)),
        ("ipv6:[::1]:40312", ("::1", 40312)),
        ("ipv6:%5B2001:db8::7%5D:1", ("2001:db8::7", 1)),
        ("ipv6:%5B::ffff:127.0.0.1%5D:40312", ("127.0.0.1", 40312)),
        ("unix:", ("", 0)),
        ("unknown", ("", 0)),
        ("", ("", 0)),
    ],
)
def test_grpcs_name_for_a_peer_gives_host_and_port(peer: str, address: tuple[str, int]) -> None:
    assert read_address(peer) == address


async def test_the_ledger_comes_row_by_row_however_long_it_is(net: Loopback) -> None:
    node = await net.node(1)
    ledger = Ledger()
    for neighbour in range(500):
        ledger.book(EARLIEST_HOUR, f"{neighbour:032x}", Direction.SENT, Amounts(sign_bits=8, transport=-3))
    server = Server(node.network, pb.StatusReply, lambda per: row_messages(ledger, {"0" * 32: "board"}, per))
    port = await server.listen("127.0.0.1:0")
    try:
        rows = await asyncio.to_thread(ask_ledger, f"127.0.0.1:{port}", Period.DAY, 20.0)
    finally:
        await server.stop(0)
    assert len(rows) == 500
    assert rows[0] == (EARLIEST_HOUR // 24, "0" * 32, "board", Direction.SENT, Amounts(sign_bits=8, transport=-3))
