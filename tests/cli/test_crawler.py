"""Crawling a network from one node, and merging all replies into one snapshot."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.cli.crawler import (
    MAX_CONCURRENT,
    MAX_NODES,
    MAX_SECONDS,
    CrawlState,
    NetworkSnapshot,
    crawl,
    start_addresses,
)
from dslnode.errors import UnreachableError
from dslnode.v1 import node_pb2 as pb

Net = dict[str, pb.StatusReply]


def report(name: str, *, up: bool = True, **more: object) -> pb.NeighbourStatus:
    given: dict[str, object] = {"node_id": name * 32, "name": name, "address": f"{name}:1", "connected": up, **more}
    return pb.NeighbourStatus(**given)  # type: ignore[arg-type]


def reply(name: str, *reports: pb.NeighbourStatus, run: str = "greenhouse", **more: object) -> pb.StatusReply:
    return pb.StatusReply(name=name, node_id=name * 32, run_id=run, neighbours=reports, **more)  # type: ignore[arg-type]


def asking(net: Net) -> Callable[[str], pb.StatusReply]:
    def ask(address: str) -> pb.StatusReply:
        if address not in net:
            raise UnreachableError(f"no answer at {address}")
        return net[address]

    return ask


def seen(net: Net, start: str = "a:1") -> NetworkSnapshot:
    return crawl([start], asking(net))


CHAIN: Net = {
    "a:1": reply("a", report("b")),
    "b:1": reply("b", report("a"), report("c")),
    "c:1": reply("c", report("b"), report("d", up=False, round=7, problem="connection refused")),
}


@pytest.mark.parametrize("start", ["a:1", "b:1", "c:1"])
def test_the_whole_network_is_seen_from_any_node(start: str) -> None:
    snapshot = seen(CHAIN, start)
    assert [node.name for node in snapshot.nodes] == ["a", "b", "c", "d"]
    assert snapshot.links == {("a" * 32, "b" * 32), ("b" * 32, "c" * 32)}
    assert [snapshot.link_count(node.key) for node in snapshot.nodes] == [1, 2, 1, 0]


def test_a_node_that_does_not_answer_is_shown_as_others_report_it() -> None:
    lost = seen(CHAIN).nodes[-1]
    assert (lost.reply, lost.round, lost.score) == (None, 7, None)
    assert lost.problem == "no answer at d:1"
    assert [reporter for reporter, _ in lost.reports] == ["c" * 32]


def test_a_node_without_address_still_has_its_links() -> None:
    """A board behind a router dials out: no node reports an address of it, and two others are linked to it."""
    hidden = report("x", address="")
    snapshot = seen({"a:1": reply("a", report("b"), hidden), "b:1": reply("b", report("a"), hidden)})
    node = snapshot.nodes[-1]
    assert (node.name, node.problem) == ("x", "no node reports an address of it")
    assert snapshot.link_count(node.key) == 2


def test_one_node_at_two_addresses_is_one_node() -> None:
    b = reply("b", report("a"))
    net = {
        "a:1": reply("a", report("b", address="b:2")),
        "b:1": b,
        "b:2": b,
        "c:1": reply("c", report("b"), report("a")),
    }
    net["a:1"].neighbours.append(report("c"))
    assert [node.name for node in seen(net).nodes] == ["a", "b", "c"]


def test_a_peer_not_reached_is_the_node_that_answers_there() -> None:
    """Its node id is not known to who failed to dial it."""
    unreached = pb.NeighbourStatus(name="b:1", address="b:1", problem="connection refused")
    snapshot = seen(
        {"a:1": reply("a", unreached, report("c")), "b:1": reply("b", report("c")), "c:1": reply("c", report("a"))}
    )
    assert [node.name for node in snapshot.nodes] == ["a", "b", "c"]
    assert snapshot.nodes[1].reports[0][1].problem == "connection refused"


def test_nodes_of_another_run_are_not_part_of_the_picture_nor_asked_on() -> None:
    stranger = reply("b", report("z"), run="orchard")
    snapshot = seen({"a:1": reply("a", report("b", up=False)), "b:1": stranger, "z:1": reply("z")})
    assert snapshot.run_id == "greenhouse"
    assert [(node.name, node.reply) for node in snapshot.nodes if node.name != "a"] == [("b", None)]


def test_malformed_addresses_are_not_asked() -> None:
    for address in ("", "nowhere", "x:99999", "a b:1", "\x1b[2J:1"):
        state = CrawlState({"a:1": reply("a", report("b", address=address))})
        assert state.next_addresses() == []


def test_connected_neighbours_are_asked_first() -> None:
    state = CrawlState({"a:1": reply("a", report("b", up=False), report("c"))})
    assert state.next_addresses() == ["c:1", "b:1"]


def test_a_network_without_end_is_not_followed_without_end() -> None:
    asked: list[str] = []

    def ask(address: str) -> pb.StatusReply:
        asked.append(address)
        number = int(address.partition(":")[2])
        names = [f"{number * 30 + child}" for child in range(1, 31)]
        reports = [
            pb.NeighbourStatus(node_id=name, address=f"n:{int(name) % 60_000}", connected=True) for name in names
        ]
        return pb.StatusReply(node_id=str(number), name=str(number), neighbours=reports)

    crawl(["n:0"], ask)
    assert len(asked) == MAX_NODES


def test_no_wave_begins_after_the_time_limit() -> None:
    times = iter([0.0, 0.0, MAX_SECONDS + 1])
    snapshot = crawl(["a:1"], asking(CHAIN), now=lambda: next(times))
    assert [(node.name, node.problem) for node in snapshot.nodes] == [("a", ""), ("b", "not asked")]


def test_few_are_asked_at_once() -> None:
    busy, most, lock = 0, 0, threading.Lock()
    reports = [report(chr(0x100 + number), address=f"n:{number}") for number in range(60)]

    def ask(address: str) -> pb.StatusReply:
        nonlocal busy, most
        with lock:
            busy, most = busy + 1, max(most, busy + 1)
        try:
            return reply("a", *reports) if address == "a:1" else asking({})(address)
        finally:
            with lock:
                busy -= 1

    assert len(crawl(["a:1"], ask).nodes) == 61
    assert most <= MAX_CONCURRENT


def test_no_node_answers() -> None:
    assert seen({}) == NetworkSnapshot("", (), frozenset())


def test_the_view_goes_on_from_others_when_the_first_is_lost() -> None:
    start = start_addresses(seen(CHAIN), ["a:1"])
    without_first = {address: reply for address, reply in CHAIN.items() if address != "a:1"}
    names = {node.name: node.reply is not None for node in crawl(start, asking(without_first)).nodes}
    assert names == {"a": False, "b": True, "c": True, "d": False}


@given(st.dictionaries(st.integers(0, 7), st.frozensets(st.integers(0, 9), max_size=8), min_size=1))
def test_every_node_that_can_be_reached_is_seen_just_once(edges: dict[int, frozenset[int]]) -> None:
    """Nodes 8 and 9 never answer."""
    names = "abcdefghij"
    net = {
        f"{names[number]}:1": reply(names[number], *(report(names[other]) for other in others))
        for number, others in edges.items()
    }
    reached, waiting = set(), [min(edges)]
    while waiting:
        reached.add(now := waiting.pop())
        waiting += [other for other in edges.get(now, ()) if other not in reached]
    snapshot = seen(net, f"{names[min(edges)]}:1")
    assert sorted(node.name for node in snapshot.nodes) == sorted(names[number] for number in reached)
