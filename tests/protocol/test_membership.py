"""Who is known, what can be reached, whom a node keeps: rules that hold for any order of joins, leaves and cuts."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dslnode.protocol import membership
from dslnode.protocol.membership import (
    MISSED_SECONDS,
    SUCCESSORS,
    MemberRecord,
    MemberTable,
    ReachabilityView,
    choose_peers,
)

keys = st.integers(0, 2**32).map(lambda number: f"{number:032x}")


def record(key: str, version: int = 1, *links: str, address: str = "", left: bool = False) -> MemberRecord:
    return MemberRecord(key, version, f"name-{key}", address or f"{key}:1", frozenset(links), left)


def component_of(start: str, links: Collection[frozenset[str]]) -> set[str]:
    found = {start}
    while more := {key for link in links if link & found for key in link} - found:
        found |= more
    return found


class World:
    """Nodes whose rosters talk until nothing is news; some cannot be dialled, and nobody dials over a cut."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.rosters: dict[str, MemberTable] = {}
        self.seeds: dict[str, frozenset[str]] = {}
        self.links: set[frozenset[str]] = set()
        self.dialled: dict[frozenset[str], str] = {}
        self.sides: dict[str, int] = {}
        self.now = 0.0

    def join(self, key: str, seed: str | None, *, dialable: bool) -> None:
        self.rosters[key] = MemberTable(record(key, address="" if dialable else "none"))
        if not dialable:
            self.rosters[key].me = replace(self.rosters[key].me, address="")
        self.seeds[key] = frozenset() if seed is None else frozenset({seed})
        self.sides[key] = 0

    def die(self, key: str) -> None:
        del self.rosters[key]
        self.links = {link for link in self.links if key not in link}

    def degree(self, key: str) -> int:
        return sum(key in link for link in self.links)

    def settle(self) -> None:
        for _ in range(40):
            before = set(self.links)
            self._flood()
            for key in sorted(self.rosters):
                self._dial(key)
            if before == self.links:
                return
        raise AssertionError("it never came to rest")

    def _flood(self) -> None:
        self.links = {link for link in self.links if len({self.sides[key] for key in link}) == 1}
        for key, roster in self.rosters.items():
            roster.connected(frozenset(next(iter(link - {key})) for link in self.links if key in link))
        while True:
            moved = False
            for link in self.links:
                for one, other in (sorted(link), sorted(link, reverse=True)):
                    giver, taker = self.rosters[one], self.rosters[other]
                    told = {held.key: held.version for held in (taker.me, *taker.others.values())}
                    news = giver.news(told)
                    taker.hear(news)
                    moved = moved or bool(news)
            if not moved:
                return

    def _dial(self, key: str) -> None:
        """What ``neighbourhood`` does on a tick, without its clocks; the dead and the cut off do not answer."""
        roster = self.rosters[key]
        self.now += 1
        outlook = roster.look(self.now)
        usable = {other for other in roster.others if roster.others[other].address and self._answers(key, other)}
        choice = choose_peers(key, usable & outlook.reachable, self.seeds[key], self.limit)
        for other in sorted(choice.essential | (usable - outlook.reachable)):
            if self._answers(key, other):
                self._link(key, other)
        for other in sorted(choice.others):
            if self.degree(key) < self.limit > self.degree(other):
                self._link(key, other)
        wanted = choice.essential | choice.others
        ours = [link for link in self.links if self.dialled[link] == key and not link - {key} <= wanted]
        for link in sorted(ours, key=sorted)[: max(0, self.degree(key) - self.limit)]:
            self.links.discard(link)

    def _answers(self, key: str, other: str) -> bool:
        return other in self.rosters and self.sides[key] == self.sides[other]

    def _link(self, key: str, other: str) -> None:
        link = frozenset({key, other})
        if link not in self.links:
            self.links.add(link)
            self.dialled[link] = key

    def assert_whole(self) -> None:
        for side in {self.sides[key] for key in self.rosters}:
            members = {key for key in self.rosters if self.sides[key] == side}
            assert component_of(min(members), self.links) == members


def network_of(count: int, chance: random.Random, limit: int) -> World:
    """Return nodes that each knew one address when they joined, of a node that was there and can be dialled."""
    world = World(limit)
    dialable: list[str] = []
    for number in range(count):
        key = f"{chance.getrandbits(64):016x}{number:016x}"
        can = number == 0 or chance.random() < 0.7
        world.join(key, chance.choice(dialable) if dialable else None, dialable=can)
        if can:
            dialable.append(key)
    return world


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 20), st.integers(1, 8), st.randoms(use_true_random=False))
def test_one_address_is_enough_and_the_graph_stays_whole_through_joins_deaths_and_cuts(
    count: int, limit: int, chance: random.Random
) -> None:
    world = network_of(count, chance, limit)
    world.settle()
    world.assert_whole()
    ring = [key for key in world.rosters if world.rosters[key].me.address]
    for key in chance.sample(sorted(world.rosters), count // 4):
        if len(ring) > 1 or key not in ring:
            world.die(key)
            ring = [one for one in ring if one != key]
    world.settle()
    world.assert_whole()
    for key in world.rosters:
        world.sides[key] = chance.randrange(2)
    world.settle()
    world.sides = dict.fromkeys(world.sides, 0)  # the cut may have lasted for any time: nobody forgot anybody
    world.settle()
    world.assert_whole()
    for roster in world.rosters.values():
        outlook = roster.look(world.now)
        assert outlook.reachable == world.rosters.keys()


@settings(max_examples=20, deadline=None)
@given(st.integers(12, 40), st.integers(4, 8), st.randoms(use_true_random=False))
def test_nobody_has_more_neighbours_than_it_wants_beyond_those_that_hold_the_network_together(
    count: int, limit: int, chance: random.Random
) -> None:
    world = World(limit)
    names = sorted(f"{chance.getrandbits(64):016x}{number:016x}" for number in range(count))
    for index, key in enumerate(names):
        world.join(key, names[index - 1] if index else None, dialable=True)
    world.settle()
    world.assert_whole()
    neighbours_by_ring_and_seed = 2 * SUCCESSORS + 2
    assert max(map(world.degree, names)) <= limit + neighbours_by_ring_and_seed


@given(keys, st.sets(keys, max_size=30), st.sets(keys, max_size=3), st.integers(0, 20))
def test_the_choice_is_the_same_from_the_same_facts_and_within_its_limit(
    me: str, candidates: set[str], always: set[str], limit: int
) -> None:
    choice = choose_peers(me, candidates, always, limit)
    assert choice == choose_peers(me, sorted(candidates, reverse=True), always, limit)
    assert always - {me} <= choice.essential <= always | candidates
    assert me not in choice.essential
    assert len(choice.essential - always) <= SUCCESSORS
    assert choice.others <= candidates - choice.essential - {me}
    assert len(choice.essential | choice.others) <= max(len(always) + SUCCESSORS, limit // 2)
    if not limit:
        assert choice.essential == always - {me}
        assert not choice.others


def test_few_nodes_choose_one_another_all() -> None:
    names = [f"{number:032x}" for number in range(9)]
    for key in names:
        choice = choose_peers(key, names, (), limit=16)
        assert choice.essential | choice.others == set(names) - {key}


def line() -> MemberTable:
    """Return a's view of a - b - c - d."""
    roster = MemberTable(record("a", 1))
    roster.connected(frozenset("b"))
    roster.hear([record("b", 1, "a", "c"), record("c", 1, "b", "d"), record("d", 1, "c")])
    return roster


def test_a_cut_is_seen_at_once_by_those_who_hear_of_one_changed_record() -> None:
    roster = line()
    assert roster.look(0).reachable == set("abcd")
    roster.hear([record("b", 2, "a")])
    outlook = roster.look(1)
    assert outlook == ReachabilityView(frozenset("ab"), frozenset("cd"), 2)
    roster.hear([record("c", 2)])
    assert roster.look(2).components == 3
    assert roster.look(2 + 2 * MISSED_SECONDS).components == 1, "nobody is missed for ever"
    roster.hear([record("b", 3, "a", "c"), record("c", 3, "b", "d")])
    assert roster.look(3).components == 1


def test_who_left_in_good_order_or_came_back_as_another_is_not_missed() -> None:
    roster = line()
    roster.look(0)
    roster.hear([record("c", 2, "b"), record("d", 2, left=True)])
    assert roster.look(1).components == 1
    roster.hear([record("b", 2, "a", "e"), record("e", 1, "b", address="c:1")])  # c began anew, without its state
    outlook = roster.look(2)
    assert outlook == ReachabilityView(frozenset("abe"), frozenset(), 1)


def test_an_older_record_never_takes_the_place_of_a_newer_one() -> None:
    roster = line()
    roster.hear([record("b", 5, "a")])
    roster.hear([record("b", 4, "a", "c")])
    assert roster.look(0).reachable == set("ab")


def test_a_node_outdoes_what_is_told_of_its_earlier_life() -> None:
    roster = line()
    roster.hear([record("a", 70, "x", left=True)])
    assert roster.me.version > 70
    assert (roster.me.links, roster.me.left) == (frozenset("b"), False)
    now = roster.me
    roster.hear([now])
    assert roster.me is now, "its own echo is nothing to answer"


def test_news_are_what_somebody_lacks() -> None:
    roster = line()
    roster.recall("z", "remembered", "z:1")
    assert {one.key for one in roster.news({})} == set("abcd"), "what was only remembered is no news"
    assert {one.key for one in roster.news({"a": 9, "b": 1, "c": 0, "d": 1})} == {"c"}


def test_a_flood_of_made_up_nodes_fills_no_memory_and_drives_nobody_in_reach_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(membership, "MAX_MEMBERS", 10)
    roster = line()
    roster.look(0)
    roster.hear(record(f"fake{number}") for number in range(1_000))
    assert len(roster.others) == 10
    assert roster.look(1).reachable == set("abcd")
