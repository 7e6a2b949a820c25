"""The pacer: neighbours are told the interval, theirs is kept, costs are learned, and what was given up is counted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import structlog

from dslnode.accounting.bookkeeper import Bookkeeper
from dslnode.accounting.exchange_pacing import ExchangeScheduler
from dslnode.accounting.ledger import EARLIEST
from dslnode.config.quantities import CapPer, DataCap
from dslnode.protocol.messages import IntervalRequest
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.traffic import Traffic

LARGEST = 3_000
CAP = DataCap(400_000, CapPer.HOUR)


class Node:
    """A pacer whose clock and network are set by hand; ``told`` is what neighbours were told, in order."""

    def __init__(self, cap: DataCap | None, *keys: str) -> None:
        self.now = 0.0
        self.told: list[tuple[str, int]] = []
        self.links: dict[str, object] = {key: object() for key in keys}
        self.traffic = {key: Traffic() for key in keys}
        network = SimpleNamespace(links={}, traffic=self.traffic, measure_traffic=lambda: None, send=self._send)
        network.links = self.links
        start = 3_600.0 * EARLIEST
        self.books = Bookkeeper(
            cast(ConnectionManager, SimpleNamespace(links={}, traffic=self.traffic, measure_traffic=lambda: None)),
            None,
            structlog.get_logger(),
            lambda: start + self.now,
        )
        self.pacer = ExchangeScheduler(cap, LARGEST, cast(ConnectionManager, network), self.books, lambda: self.now)

    def _send(self, key: str, message: IntervalRequest) -> None:
        self.told.append((key, message.seconds))

    async def round(self, seconds: float = 1.0, cost: int = 2_000) -> set[str]:
        """Let a round pass; return who was sent masks, each of which costs so much both ways."""
        self.now += seconds
        skipped, _ = await self.pacer.decide()
        chosen = set(self.links) - skipped
        for key in chosen:
            self.traffic[key].sent.mask_bytes += 1
            self.traffic[key].sent.link_bytes += cost // 2
            self.traffic[key].received.link_bytes += cost // 2
        return chosen


async def test_without_a_cap_nobody_is_told_anything_and_everybody_gets_masks() -> None:
    node = Node(None, "a", "b")
    assert [await node.round() for _ in range(3)] == [{"a", "b"}] * 3
    assert not node.told
    assert (node.pacer.skipped, node.pacer.interval) == (0, 0.0)


async def test_what_a_neighbour_asks_for_is_kept_and_it_is_not_waited_for() -> None:
    node = Node(None, "a", "b")
    await node.round()
    node.pacer.asked("a", IntervalRequest(5))
    assert [await node.round() for _ in range(5)] == [{"b"}] * 4 + [{"a", "b"}]
    assert (await node.pacer.decide())[1] == {"a"}
    assert node.pacer.skipped == 5


async def test_a_new_link_knows_of_no_pace() -> None:
    node = Node(None, "a")
    await node.round()
    node.pacer.asked("a", IntervalRequest(500))
    assert await node.round() == set()
    node.links["a"] = object()
    assert await node.round() == {"a"}


async def test_a_cap_holds_over_its_period_and_a_new_one_begins_anew() -> None:
    node = Node(CAP, "a", "b")
    rounds = 0
    while node.now < 3_590:
        await node.round(cost=4_000)
        rounds += 1
    usage = node.pacer.usage()
    assert CAP.size / 4 < usage.used <= CAP.size
    assert usage.forecast <= CAP.size
    assert usage.skipped == node.pacer.skipped > rounds
    assert {key for key, seconds in node.told if seconds} == {"a", "b"}
    node.now = 3_600
    assert node.pacer.usage().used == 0


async def test_costs_are_learned_so_that_cheaper_masks_are_sent_more_often() -> None:
    intervals = []
    for cost in (500, 6_000):
        node = Node(CAP, "a")
        for _ in range(400):
            await node.round(cost=cost)
        intervals.append(node.pacer.interval)
    assert intervals[0] < intervals[1] / 4


async def test_a_neighbour_that_comes_while_a_pace_is_kept_is_told_at_once() -> None:
    node = Node(CAP, "a")
    node.pacer.up("a")
    [(key, seconds)] = node.told
    assert key == "a"
    assert seconds > 1


async def test_when_neighbours_use_up_the_cap_they_are_told_to_be_silent_between_rounds_too() -> None:
    node = Node(CAP, "a")
    await node.round()
    node.traffic["a"].received.link_bytes += CAP.size
    node.now += 100
    node.pacer.watch()
    assert node.told[-1] == ("a", 3_600)
    assert await node.round() == set()


async def test_a_turn_in_which_no_mask_could_go_out_comes_again() -> None:
    node = Node(CAP, "a")
    for _ in range(3):  # its greeting has not come, so there is nothing that could be sent
        node.now += 1.0
        assert (await node.pacer.decide())[0] == frozenset()
    assert await node.round() == {"a"}
    assert await node.round() == set()
