"""Slots for calls: bounded per peer and beside links, given back when a call ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from dslnode.security.channels import TlsChannels
from dslnode.security.credentials import Credentials
from dslnode.security.tls_tunnels import TlsTunnels
from dslnode.transport import call_slots
from dslnode.transport.call_slots import MAX_CALLS_BESIDE_LINKS, MAX_CALLS_OF_A_PEER, CallSlots
from dslnode.v1 import node_pb2 as pb
from dslnode.v1 import node_pb2_grpc
from tests.networks import Operator
from tests.transport.nodes import PATIENCE, Loopback, Node, node_info, soon


def test_a_peer_gets_a_bounded_number_of_slots_and_they_come_back() -> None:
    slots = CallSlots()
    assert [slots.take("a", link=False) for _ in range(MAX_CALLS_OF_A_PEER + 1)] == [
        *[True] * MAX_CALLS_OF_A_PEER,
        False,
    ]
    assert slots.take("b", link=False)
    slots.give_back("a", link=False)
    assert slots.take("a", link=False)


def test_links_have_room_when_nothing_else_has() -> None:
    slots = CallSlots()
    for number in range(MAX_CALLS_BESIDE_LINKS):
        assert slots.take(str(number), link=False)
    assert not slots.take("late", link=False)
    assert slots.take("late", link=True)
    assert slots.in_use == MAX_CALLS_BESIDE_LINKS


def test_a_refusal_is_news_once_until_the_peer_has_ended_its_calls() -> None:
    slots = CallSlots()
    slots.take("a", link=False)
    assert [slots.is_news("a") for _ in range(3)] == [True, False, False]
    slots.give_back("a", link=False)
    slots.take("a", link=False)
    assert slots.is_news("a")


async def host(net: Loopback, operator: Operator) -> Node:
    tunnels = TlsTunnels(Credentials(operator.ticket("host"), None))
    return await net.start(Node(net.news, node_info(1), tunnels=tunnels))


@contextlib.asynccontextmanager
async def channel_to(ticket: Path, node: Node) -> AsyncIterator[grpc.aio.Channel]:
    tunnels = TlsTunnels(Credentials(ticket, None))
    try:
        async with (
            TlsChannels(tunnels).open("127.0.0.1", node.port, PATIENCE) as opened,
            grpc.aio.insecure_channel(opened.target) as channel,
        ):
            yield channel
    finally:
        tunnels.remove()


def watch(channel: grpc.aio.Channel) -> grpc.aio.UnaryStreamCall[object, object]:
    return health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())  # type: ignore[attr-defined,no-any-return]


async def outcome(call: grpc.aio.UnaryStreamCall[object, object]) -> str:
    try:
        await call.read()
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def test_who_holds_many_calls_is_refused_more_and_others_are_served(net: Loopback, operator: Operator) -> None:
    node = await host(net, operator)
    async with (
        asyncio.timeout(PATIENCE),
        channel_to(operator.ticket("attacker"), node) as attacker,
        channel_to(operator.ticket("honest"), node) as honest,
    ):
        outcomes = [await outcome(call) for call in [watch(attacker) for _ in range(MAX_CALLS_OF_A_PEER + 4)]]
        assert Counter(outcomes) == {"OK": MAX_CALLS_OF_A_PEER, "RESOURCE_EXHAUSTED": 4}
        assert node.refusals() == ["too_many"], "said once"
        assert (await node_pb2_grpc.StatusStub(honest).Get(pb.StatusRequest())).name == node.me.name
    await soon(lambda: node.server.slots.in_use == 0)


async def test_a_watch_ends_after_its_time(net: Loopback, operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_slots, "CALL_SECONDS", 0.1)
    node = await host(net, operator)
    async with asyncio.timeout(PATIENCE), channel_to(operator.ticket("idle"), node) as channel:
        call = watch(channel)
        assert await outcome(call) == "OK"
        assert await call.read() is grpc.aio.EOF
    assert node.server.slots.in_use == 0


async def test_a_question_that_takes_too_long_ends_with_its_reason(
    net: Loopback, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_slots, "CALL_SECONDS", 0.1)
    node = await host(net, operator)

    async def never(_question: object, _context: object) -> pb.StatusReply:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(node.server._reachability, "dial_back", never)
    async with asyncio.timeout(PATIENCE), channel_to(operator.ticket("asker"), node) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await node_pb2_grpc.StatusStub(channel).DialBack(pb.DialBackRequest(port=1))
    assert ended.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert node.server.slots.in_use == 0
