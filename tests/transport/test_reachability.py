"""A connection back to who asks for it: to the caller's own address alone, few, short, and without a word on it."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import grpc.aio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.errors import UnreachableError
from dslnode.security.credentials import Credentials
from dslnode.security.handshake_limiter import MAX_HOSTS
from dslnode.security.tls_tunnels import TlsTunnels
from dslnode.transport import client, reachability
from dslnode.transport.reachability import BETWEEN_SECONDS, AttemptLimiter, Declined, ReachabilityService
from dslnode.transport.server import Server
from dslnode.v1 import node_pb2 as pb
from tests.cluster.processes import free_port
from tests.networks import Operator
from tests.transport.nodes import Loopback, Node, introduction

PATIENCE = 10.0


async def ask(node: Node, port: int, ticket: Path | None = None) -> pb.DialBackReply:
    return await asyncio.to_thread(client.ask_dial_back, node.address, port, PATIENCE, ticket)


def listening() -> tuple[socket.socket, int]:
    found = socket.create_server(("127.0.0.1", 0))
    found.settimeout(PATIENCE)
    return found, found.getsockname()[1]


async def counting(net: Loopback, counted: list[str]) -> Node:
    """Return a listening node that keeps what it counts."""
    node = Node(net.news, introduction(1))
    node.server = Server(node.network, pb.StatusReply, dialled_back=counted.append)
    return await net.start(node)


async def test_a_port_that_listens_is_reached_and_nothing_is_said_there(net: Loopback) -> None:
    counted: list[str] = []
    node = await counting(net, counted)
    listener, port = listening()
    with listener:
        answer = await ask(node, port)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(PATIENCE)
            assert connection.recv(1) == b"", "closed at once, without a byte"
    assert answer == pb.DialBackReply(reached=True, host="127.0.0.1")
    assert counted == ["reached"]


async def test_a_closed_port_is_told_with_the_systems_reason(net: Loopback) -> None:
    counted: list[str] = []
    node = await counting(net, counted)
    answer = await ask(node, free_port())
    assert answer == pb.DialBackReply(reached=False, host="127.0.0.1", problem="Connection refused")
    assert counted == ["failed"]


async def test_with_tickets_the_callers_own_address_is_dialled(net: Loopback, tmp_path: Path) -> None:
    """Not that of the tunnel between TLS and gRPC; who has no ticket gets no answer."""
    operator = Operator(tmp_path / "authority")
    credentials = Credentials(operator.ticket("host"), None)
    me = replace(introduction(1), node_id=credentials.identity.node_id, name="host")
    node = await net.start(Node(net.news, me, tunnels=TlsTunnels(credentials)))
    listener, port = listening()
    with listener:
        answer = await ask(node, port, operator.ticket("board-2"))
        listener.accept()[0].close()
        with pytest.raises(UnreachableError, match="only holders of a ticket"):
            await ask(node, port)
    assert answer == pb.DialBackReply(reached=True, host="127.0.0.1")


async def test_behind_the_door_no_address_is_taken_from_anybody_else(net: Loopback, tmp_path: Path) -> None:
    """A process of the same user that calls gRPC's Unix socket has no address to be dialled at."""
    credentials = Credentials(Operator(tmp_path / "authority").ticket("host"), None)
    me = replace(introduction(1), node_id=credentials.identity.node_id, name="host")
    node = await net.start(Node(net.news, me, tunnels=TlsTunnels(credentials)))
    async with grpc.aio.insecure_channel(f"unix:{node.server._inner}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call(channel, 7711)
    assert failed.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def call(channel: grpc.aio.Channel, port: int) -> bytes:
    ask_it: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/dslnode.v1.Status/DialBack")
    return await ask_it(pb.DialBackRequest(port=port).SerializeToString())


@pytest.mark.parametrize("port", [0, 65_536, 2**32 - 1])
async def test_no_port_is_dialled_that_is_none(net: Loopback, port: int) -> None:
    counted: list[str] = []
    node = await counting(net, counted)
    async with grpc.aio.insecure_channel(node.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call(channel, port)
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert counted == ["declined"]


async def test_a_second_question_within_seconds_is_declined(net: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """So nobody scans the ports of a host, his own router's for one, by way of others."""
    monkeypatch.setattr(reachability, "BETWEEN_SECONDS", 600.0)
    counted: list[str] = []
    node = await counting(net, counted)
    await ask(node, free_port())
    with pytest.raises(UnreachableError, match="ask again in a few seconds"):
        await ask(node, free_port())
    assert counted == ["failed", "declined"]


async def test_a_peer_of_before_is_told_apart(net: Loopback) -> None:
    """It answers that there is no such method."""
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    old = Node(net.news, introduction(1), port=port)
    with pytest.raises(UnreachableError, match="older dslnode"):
        await ask(old, 7711)
    await server.stop(0)


async def test_one_attempt_is_made_at_a_time_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def attempt(host: str, port: int) -> str:
        assert (host, port) == ("192.0.2.7", 7711)
        begun.set()
        await go_on.wait()
        return "no answer"

    monkeypatch.setattr(reachability, "attempt", attempt)
    counted: list[str] = []
    asked = ReachabilityService(counted.append)
    first = asyncio.ensure_future(asked.dial_back("192.0.2.7", 7711))
    async with asyncio.timeout(PATIENCE):
        await begun.wait()
        second = await asked.dial_back("192.0.2.8", 7711)
        go_on.set()
        assert await first == pb.DialBackReply(reached=False, host="192.0.2.7", problem="no answer")
    assert isinstance(second, Declined)
    assert second.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert counted == ["declined", "failed"]


@pytest.mark.parametrize("host", ["", "board-2", "/run/socket", "127.0.0.1:1", "localhost"])
async def test_a_name_is_never_looked_up(host: str) -> None:
    declined = await ReachabilityService(lambda _: None).dial_back(host, 7711)
    assert isinstance(declined, Declined)
    assert declined.code is grpc.StatusCode.FAILED_PRECONDITION


async def test_what_swallows_packets_takes_no_longer_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full backlog: the kernel answers no further greeting."""
    monkeypatch.setattr(reachability, "ATTEMPT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = []
        for _ in range(3):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(full.getsockname())
            waiting.append(one)
        assert await reachability.attempt(*full.getsockname()) == "no answer within 0.2 s"
        for one in waiting:
            one.close()


def test_neighbours_of_one_ipv6_network_share_their_turns() -> None:
    turns = AttemptLimiter()
    turns.attempt_started("2001:db8::1", 0.0)
    turns.attempt_ended()
    assert turns.refusal_reason("2001:db8::2", BETWEEN_SECONDS - 0.1) is not None
    assert turns.refusal_reason("2001:db8:0:1::2", 0.0) is None
    assert turns.refusal_reason("2001:db8::1", BETWEEN_SECONDS) is None


@given(st.lists(st.tuples(st.integers(0, 2 * MAX_HOSTS), st.floats(0, 10)), max_size=60))
def test_no_caller_is_dialled_more_often_than_said(steps: list[tuple[int, float]]) -> None:
    turns, now, last = AttemptLimiter(), 0.0, dict[str, float]()
    for number, pause in steps:
        now += pause
        host = f"10.0.{number // 256}.{number % 256}"
        if turns.refusal_reason(host, now) is None:
            assert now - last.get(host, -BETWEEN_SECONDS) >= BETWEEN_SECONDS
            turns.attempt_started(host, now)
            assert turns.refusal_reason("192.0.2.1", now) is not None, "one at a time"
            turns.attempt_ended()
            last[host] = now


def test_who_asks_is_forgotten_when_too_many_do() -> None:
    turns = AttemptLimiter()
    for number in range(MAX_HOSTS + 5):
        turns.attempt_started(f"10.1.{number // 256}.{number % 256}", 0.0)
        turns.attempt_ended()
    assert turns.refusal_reason("10.1.0.0", 0.0) is None
    assert turns.refusal_reason(f"10.1.{(MAX_HOSTS + 4) // 256}.{(MAX_HOSTS + 4) % 256}", 0.0) is not None
