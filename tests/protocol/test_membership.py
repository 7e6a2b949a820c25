"""Records, reachability and the choice of peers, under any order of joins, deaths and partitions."""

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
    address_proof,
    choose_peers,
)

keys = st.integers(0, 2**32).map(lambda number: f"{number:032x}")


def record(key: str, version: int = 1, *links: str, address: str = "", left: bool = False) -> MemberRecord:
    return MemberRecord(key, version, f"name-{key}", address or f"{key}:1", frozenset(links), left)


def component_of(start: str, links: Collection[frozenset[str]]) -> set[str]:
    reached = {start}
    while new := {key for link in links if link & reached for key in link} - reached:
        reached |= new
    return reached


class World:
    """Nodes that exchange records until all have the newest. Some cannot be dialled, none dials across a partition."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.tables: dict[str, MemberTable] = {}
        self.seeds: dict[str, frozenset[str]] = {}
        self.links: set[frozenset[str]] = set()
        self.dialled: dict[frozenset[str], str] = {}
        self.sides: dict[str, int] = {}
        self.now = 0.0

    def join(self, key: str, seed: str | None, *, dialable: bool) -> None:
        self.tables[key] = MemberTable(record(key, address="" if dialable else "none"))
        if not dialable:
            self.tables[key].me = replace(self.tables[key].me, address="")
        self.seeds[key] = frozenset() if seed is None else frozenset({seed})
        self.sides[key] = 0

    def die(self, key: str) -> None:
        del self.tables[key]
        self.links = {link for link in self.links if key not in link}

    def degree(self, key: str) -> int:
        return sum(key in link for link in self.links)

    def settle(self) -> None:
        for _ in range(40):
            before = set(self.links)
            self._flood()
            for key in sorted(self.tables):
                self._dial(key)
            if before == self.links:
                return
        raise AssertionError("the links kept changing")

    def _flood(self) -> None:
        self.links = {link for link in self.links if len({self.sides[key] for key in link}) == 1}
        for key, table in self.tables.items():
            table.set_links(frozenset(next(iter(link - {key})) for link in self.links if key in link))
        while True:
            moved = False
            for link in self.links:
                for sender_key, receiver_key in (sorted(link), sorted(link, reverse=True)):
                    sender, receiver = self.tables[sender_key], self.tables[receiver_key]
                    versions = {record.key: record.version for record in (receiver.me, *receiver.others.values())}
                    newer = sender.records_newer_than(versions)
                    receiver.merge(newer)
                    moved = moved or bool(newer)
            if not moved:
                return

    def _dial(self, key: str) -> None:
        """Do what ``PeerManager`` does per tick, without clocks; dead nodes and those across a cut do not answer."""
        table = self.tables[key]
        self.now += 1
        view = table.view(self.now)
        usable = {other for other in table.others if table.others[other].address and self._answers(key, other)}
        choice = choose_peers(key, usable & view.reachable, self.seeds[key], self.limit)
        unreachable = usable - view.reachable
        for other in sorted(choice.essential | unreachable):
            if self._answers(key, other):
                self._link(key, other)
        for other in sorted(choice.others):
            if self.degree(key) < self.limit > self.degree(other):
                self._link(key, other)
        wanted = choice.essential | choice.others | unreachable  # a link lasts until records have crossed it
        ours = [link for link in self.links if self.dialled[link] == key and not link - {key} <= wanted]
        for link in sorted(ours, key=sorted)[: max(0, self.degree(key) - self.limit)]:
            self.links.discard(link)

    def _answers(self, key: str, other: str) -> bool:
        return other in self.tables and self.sides[key] == self.sides[other]

    def _link(self, key: str, other: str) -> None:
        link = frozenset({key, other})
        if link not in self.links:
            self.links.add(link)
            self.dialled[link] = key

    def assert_connected(self) -> None:
        for side in {self.sides[key] for key in self.tables}:
            members = {key for key in self.tables if self.sides[key] == side}
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
def test_one_known_address_is_enough_and_the_graph_stays_connected_through_joins_deaths_and_partitions(
    count: int, limit: int, chance: random.Random
) -> None:
    world = network_of(count, chance, limit)
    world.settle()
    world.assert_connected()
    ring = [key for key in world.tables if world.tables[key].me.address]
    for key in chance.sample(sorted(world.tables), count // 4):
        if len(ring) > 1 or key not in ring:
            world.die(key)
            ring = [candidate for candidate in ring if candidate != key]
    world.settle()
    world.assert_connected()
    for key in world.tables:
        world.sides[key] = chance.randrange(2)
    world.settle()
    world.sides = dict.fromkeys(world.sides, 0)  # however long the partition lasted, no record was forgotten
    world.settle()
    world.assert_connected()
    for table in world.tables.values():
        view = table.view(world.now)
        assert view.reachable == world.tables.keys()


@settings(max_examples=20, deadline=None)
@given(st.integers(12, 40), st.integers(4, 8), st.randoms(use_true_random=False))
def test_no_node_has_more_neighbours_than_its_limit_and_the_essential_ones(
    count: int, limit: int, chance: random.Random
) -> None:
    world = World(limit)
    names = sorted(f"{chance.getrandbits(64):016x}{number:016x}" for number in range(count))
    for index, key in enumerate(names):
        world.join(key, names[index - 1] if index else None, dialable=True)
    world.settle()
    world.assert_connected()
    neighbours_by_ring_and_seed = 2 * SUCCESSORS + 2
    assert max(map(world.degree, names)) <= limit + neighbours_by_ring_and_seed


@given(keys, st.sets(keys, max_size=30), st.sets(keys, max_size=3), st.integers(0, 20))
def test_the_choice_depends_on_the_candidates_alone_and_keeps_the_limit(
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


def test_a_few_nodes_all_choose_each_other() -> None:
    names = [f"{number:032x}" for number in range(9)]
    for key in names:
        choice = choose_peers(key, names, (), limit=16)
        assert choice.essential | choice.others == set(names) - {key}


def line() -> MemberTable:
    """Return a's view of a - b - c - d."""
    table = MemberTable(record("a", 1))
    table.set_links(frozenset("b"))
    table.merge([record("b", 1, "a", "c"), record("c", 1, "b", "d"), record("d", 1, "c")])
    return table


def test_a_partition_is_seen_from_one_changed_record() -> None:
    table = line()
    assert table.view(0).reachable == set("abcd")
    table.merge([record("b", 2, "a")])
    view = table.view(1)
    assert view == ReachabilityView(frozenset("ab"), frozenset("cd"), 2)
    table.merge([record("c", 2)])
    assert table.view(2).components == 3
    assert table.view(2 + 2 * MISSED_SECONDS).components == 1, "no node is missed for ever"
    table.merge([record("b", 3, "a", "c"), record("c", 3, "b", "d")])
    assert table.view(3).components == 1


def test_a_node_that_left_or_came_back_with_a_new_id_is_not_missing() -> None:
    table = line()
    table.view(0)
    table.merge([record("c", 2, "b"), record("d", 2, left=True)])
    assert table.view(1).components == 1
    table.merge([record("b", 2, "a", "e"), record("e", 1, "b", address="c:1")])  # c restarted without its state
    view = table.view(2)
    assert view == ReachabilityView(frozenset("abe"), frozenset(), 1)


def test_an_older_record_never_takes_the_place_of_a_newer_one() -> None:
    table = line()
    table.merge([record("b", 5, "a")])
    table.merge([record("b", 4, "a", "c")])
    assert table.view(0).reachable == set("ab")


def test_a_node_supersedes_its_record_from_before_a_restart() -> None:
    table = line()
    table.merge([record("a", 70, "x", left=True)])
    assert table.me.version > 70
    assert (table.me.links, table.me.left) == (frozenset("b"), False)
    now = table.me
    table.merge([now])
    assert table.me is now, "its own newest record needs no answer"


def test_a_neighbour_is_sent_the_records_that_it_lacks() -> None:
    table = line()
    table.remember("z", "remembered", "z:1")
    assert {sent.key for sent in table.records_newer_than({})} == set("abcd"), (
        "a node that was only remembered is not passed on"
    )
    assert {sent.key for sent in table.records_newer_than({"a": 9, "b": 1, "c": 0, "d": 1})} == {"c"}


def test_a_flood_of_made_up_records_is_bounded_and_displaces_no_reachable_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(membership, "MAX_MEMBERS", 10)
    table = line()
    table.view(0)
    table.merge(record(f"fake{number}") for number in range(1_000))
    assert len(table.others) == 10
    assert table.view(1).reachable == set("abcd")


def test_a_record_that_says_nothing_new_is_not_passed_on() -> None:
    table = line()
    table.merge([record("c", 7, "b", "d")])
    assert table.others["c"].version == 7
    assert not [sent for sent in table.records_newer_than({"a": 9, "b": 1, "c": 1, "d": 1}) if sent.key == "c"]
    assert [sent.version for sent in table.records_newer_than({"a": 9, "b": 1, "d": 1})] == [7], "it was not known"
    table.merge([record("c", 8, "b")])
    assert [sent.version for sent in table.records_newer_than({"a": 9, "b": 1, "c": 7, "d": 1})] == [8]


def test_an_address_is_proven_by_another_node_that_met_its_node_there() -> None:
    table = line()
    assert not table.is_proven("c")
    own = replace(record("c", 2, "b", "d"), proven=frozenset({address_proof("c", "c:1")}))
    table.merge([own])
    assert not table.is_proven("c"), "nobody proves an address of its own"
    table.merge([replace(record("d", 2, "c"), proven=frozenset({address_proof("c", "c:1")}))])
    assert table.is_proven("c")
    table.merge([record("c", 3, "b", "d", address="elsewhere:1")])
    assert not table.is_proven("c"), "a new address is a new claim"
    table.set_links(frozenset("b"), frozenset({address_proof("c", "elsewhere:1")}))
    assert table.is_proven("c")


def test_a_renewed_certificate_is_announced() -> None:
    table = line()
    before = table.me
    table.renew()
    assert table.me == replace(before, version=before.version + 1)


@given(st.data())
def test_no_two_records_are_signed_alike(data: st.DataObject) -> None:
    parts = st.sampled_from(["a", "b", "ab", "aa" * 16, "bb" * 16])
    proofs = st.frozensets(st.sampled_from([b"12345678", b"abcdefgh"]))
    records = st.builds(
        MemberRecord, parts, st.integers(1, 3), parts, parts, st.frozensets(parts), st.booleans(), proofs
    )
    first, second = data.draw(records), data.draw(records)
    assert (first.content() == second.content()) == (first == second)
