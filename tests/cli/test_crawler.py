"""Asking a network from one node, and merging what all say into one picture."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.cli.crawler import AT_ONCE, MAX_NODES, SECONDS_IN_ALL, CrawlState, NetworkSnapshot, addresses_of, crawl
from dslnode.errors import UnreachableError
from dslnode.v1 import node_pb2 as pb

Net = dict[str, pb.StatusReply]


def word(name: str, *, up: bool = True, **more: object) -> pb.NeighbourStatus:
    given: dict[str, object] = {"node_id": name * 32, "name": name, "address": f"{name}:1", "connected": up, **more}
    return pb.NeighbourStatus(**given)  # type: ignore[arg-type]


def node(name: str, *words: pb.NeighbourStatus, run: str = "greenhouse", **more: object) -> pb.StatusReply:
    return pb.StatusReply(name=name, node_id=name * 32, run_id=run, neighbours=words, **more)  # type: ignore[arg-type]


def asking(net: Net) -> Callable[[str], pb.StatusReply]:
    def ask(address: str) -> pb.StatusReply:
        if address not in net:
            raise UnreachableError(f"no answer at {address}")
        return net[address]

    return ask


def seen(net: Net, start: str = "a:1") -> NetworkSnapshot:
    return crawl([start], asking(net))


CHAIN: Net = {
    "a:1": node("a", word("b")),
    "b:1": node("b", word("a"), word("c")),
    "c:1": node("c", word("b"), word("d", up=False, round=7, problem="connection refused")),
}


@pytest.mark.parametrize("start", ["a:1", "b:1", "c:1"])
def test_the_whole_network_is_seen_from_any_node(start: str) -> None:
    picture = seen(CHAIN, start)
    assert [one.name for one in picture.nodes] == ["a", "b", "c", "d"]
    assert picture.links == {("a" * 32, "b" * 32), ("b" * 32, "c" * 32)}
    assert [picture.links_of(one.key) for one in picture.nodes] == [1, 2, 1, 0]


def test_who_does_not_answer_is_shown_as_those_tell_who_know_it() -> None:
    lost = seen(CHAIN).nodes[-1]
    assert (lost.reply, lost.round, lost.accuracy) == (None, 7, None)
    assert lost.problem == "no answer at d:1"
    assert [teller for teller, _ in lost.told] == ["c" * 32]


def test_who_cannot_be_asked_still_has_its_links() -> None:
    """A board behind a router dials out: nobody knows an address of it, and two others are linked to it."""
    hidden = word("x", address="")
    picture = seen({"a:1": node("a", word("b"), hidden), "b:1": node("b", word("a"), hidden)})
    one = picture.nodes[-1]
    assert (one.name, one.problem) == ("x", "nobody tells an address to ask it at")
    assert picture.links_of(one.key) == 2


def test_one_node_at_two_addresses_is_one_node() -> None:
    b = node("b", word("a"))
    net = {"a:1": node("a", word("b", address="b:2")), "b:1": b, "b:2": b, "c:1": node("c", word("b"), word("a"))}
    net["a:1"].neighbours.append(word("c"))
    assert [one.name for one in seen(net).nodes] == ["a", "b", "c"]


def test_a_peer_not_reached_is_the_node_that_answers_there() -> None:
    """Its node id is not known to who failed to dial it."""
    unreached = pb.NeighbourStatus(name="b:1", address="b:1", problem="connection refused")
    picture = seen({"a:1": node("a", unreached, word("c")), "b:1": node("b", word("c")), "c:1": node("c", word("a"))})
    assert [one.name for one in picture.nodes] == ["a", "b", "c"]
    assert picture.nodes[1].told[0][1].problem == "connection refused"


def test_nodes_of_another_run_are_not_part_of_the_picture_nor_asked_on() -> None:
    stranger = node("b", word("z"), run="orchard")
    picture = seen({"a:1": node("a", word("b", up=False)), "b:1": stranger, "z:1": node("z")})
    assert picture.run_id == "greenhouse"
    assert [(one.name, one.reply) for one in picture.nodes if one.name != "a"] == [("b", None)]


def test_what_is_no_address_is_not_asked() -> None:
    for address in ("", "nowhere", "x:99999", "a b:1", "\x1b[2J:1"):
        findings = CrawlState({"a:1": node("a", word("b", address=address))})
        assert findings.to_ask() == []


def test_connected_neighbours_are_asked_first() -> None:
    findings = CrawlState({"a:1": node("a", word("b", up=False), word("c"))})
    assert findings.to_ask() == ["c:1", "b:1"]


def test_a_network_without_end_is_not_followed_without_end() -> None:
    asked: list[str] = []

    def ask(address: str) -> pb.StatusReply:
        asked.append(address)
        number = int(address.partition(":")[2])
        names = [f"{number * 30 + child}" for child in range(1, 31)]
        words = [pb.NeighbourStatus(node_id=one, address=f"n:{int(one) % 60_000}", connected=True) for one in names]
        return pb.StatusReply(node_id=str(number), name=str(number), neighbours=words)

    crawl(["n:0"], ask)
    assert len(asked) == MAX_NODES


def test_no_wave_begins_when_the_time_is_over() -> None:
    times = iter([0.0, 0.0, SECONDS_IN_ALL + 1])
    picture = crawl(["a:1"], asking(CHAIN), now=lambda: next(times))
    assert [(one.name, one.problem) for one in picture.nodes] == [("a", ""), ("b", "not asked")]


def test_few_are_asked_at_once() -> None:
    busy, most, lock = 0, 0, threading.Lock()
    words = [word(chr(0x100 + number), address=f"n:{number}") for number in range(60)]

    def ask(address: str) -> pb.StatusReply:
        nonlocal busy, most
        with lock:
            busy, most = busy + 1, max(most, busy + 1)
        try:
            return node("a", *words) if address == "a:1" else asking({})(address)
        finally:
            with lock:
                busy -= 1

    assert len(crawl(["a:1"], ask).nodes) == 61
    assert most <= AT_ONCE


def test_nobody_answers() -> None:
    assert seen({}) == NetworkSnapshot("", (), frozenset())


def test_the_view_goes_on_from_others_when_the_first_is_lost() -> None:
    start = addresses_of(seen(CHAIN), ["a:1"])
    without_first = {address: reply for address, reply in CHAIN.items() if address != "a:1"}
    names = {one.name: one.reply is not None for one in crawl(start, asking(without_first)).nodes}
    assert names == {"a": False, "b": True, "c": True, "d": False}


@given(st.dictionaries(st.integers(0, 7), st.frozensets(st.integers(0, 9), max_size=8), min_size=1))
def test_every_node_that_can_be_reached_is_seen_just_once(edges: dict[int, frozenset[int]]) -> None:
    """Nodes 8 and 9 never answer."""
    names = "abcdefghij"
    net = {
        f"{names[one]}:1": node(names[one], *(word(names[other]) for other in others)) for one, others in edges.items()
    }
    reached, waiting = set(), [min(edges)]
    while waiting:
        reached.add(now := waiting.pop())
        waiting += [other for other in edges.get(now, ()) if other not in reached]
    picture = seen(net, f"{names[min(edges)]}:1")
    assert sorted(one.name for one in picture.nodes) == sorted(names[one] for one in reached)
