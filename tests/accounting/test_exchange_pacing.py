"""The exchange scheduler: intervals are announced and kept, costs are learned, skipped exchanges are counted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import structlog

from dslnode.accounting.bookkeeper import Bookkeeper
from dslnode.accounting.exchange_pacing import ExchangeScheduler
from dslnode.accounting.ledger import EARLIEST_HOUR
from dslnode.config.quantities import CapPeriod, DataCap
from dslnode.protocol.messages import IntervalRequest
from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.traffic import Traffic

MAX_MASK_BYTES = 3_000
CAP = DataCap(400_000, CapPeriod.HOUR)


class Node:
    """A scheduler whose clock and network are set by hand; ``announced`` holds the intervals sent, in order."""

    def __init__(self, cap: DataCap | None, *keys: str) -> None:
        self.now = 0.0
        self.announced: list[tuple[str, int]] = []
        self.links: dict[str, object] = {key: object() for key in keys}
        self.traffic = {key: Traffic() for key in keys}
        network = SimpleNamespace(links={}, traffic=self.traffic, measure_traffic=lambda: None, send=self._send)
        network.links = self.links
        start = 3_600.0 * EARLIEST_HOUR
        self.bookkeeper = Bookkeeper(
            cast(ConnectionManager, SimpleNamespace(links={}, traffic=self.traffic, measure_traffic=lambda: None)),
            None,
            structlog.get_logger(),
            lambda: start + self.now,
        )
        self.scheduler = ExchangeScheduler(
            cap, MAX_MASK_BYTES, cast(ConnectionManager, network), self.bookkeeper, lambda: self.now
        )

    def _send(self, key: str, message: IntervalRequest) -> None:
        self.announced.append((key, message.seconds))

    async def round(self, seconds: float = 1.0, cost: int = 2_000) -> set[str]:
        """Let a round pass; return the neighbours that were sent masks, at ``cost`` bytes each, both ways."""
        self.now += seconds
        skipped, _ = await self.scheduler.decide()
        chosen = set(self.links) - skipped
        for key in chosen:
            self.traffic[key].sent.mask_bytes += 1
            self.traffic[key].sent.link_bytes += cost // 2
            self.traffic[key].received.link_bytes += cost // 2
        return chosen


async def test_without_a_cap_no_interval_is_announced_and_all_neighbours_get_masks() -> None:
    node = Node(None, "a", "b")
    assert [await node.round() for _ in range(3)] == [{"a", "b"}] * 3
    assert not node.announced
    assert (node.scheduler.exchanges_skipped, node.scheduler.interval_seconds) == (0, 0.0)


async def test_a_requested_interval_is_kept_and_the_neighbour_is_not_waited_for() -> None:
    node = Node(None, "a", "b")
    await node.round()
    node.scheduler.on_interval_request("a", IntervalRequest(5))
    assert [await node.round() for _ in range(5)] == [{"b"}] * 4 + [{"a", "b"}]
    assert (await node.scheduler.decide())[1] == {"a"}
    assert node.scheduler.exchanges_skipped == 5


async def test_a_new_link_has_no_requested_interval() -> None:
    node = Node(None, "a")
    await node.round()
    node.scheduler.on_interval_request("a", IntervalRequest(500))
    assert await node.round() == set()
    node.links["a"] = object()
    assert await node.round() == {"a"}


async def test_a_cap_holds_over_its_period_and_is_reset_in_the_next() -> None:
    node = Node(CAP, "a", "b")
    rounds = 0
    while node.now < 3_590:
        await node.round(cost=4_000)
        rounds += 1
    usage = node.scheduler.usage()
    assert CAP.max_bytes / 4 < usage.used_bytes <= CAP.max_bytes
    assert usage.forecast_bytes is not None
    assert usage.forecast_bytes <= CAP.max_bytes
    assert usage.exchanges_skipped == node.scheduler.exchanges_skipped > rounds
    assert {key for key, seconds in node.announced if seconds} == {"a", "b"}
    node.now = 3_600
    assert node.scheduler.usage().used_bytes == 0


async def test_costs_are_learned_so_that_cheaper_masks_are_sent_more_often() -> None:
    intervals = []
    for cost in (500, 6_000):
        node = Node(CAP, "a")
        for _ in range(400):
            await node.round(cost=cost)
        intervals.append(node.scheduler.interval_seconds)
    assert intervals[0] < intervals[1] / 4


async def test_a_neighbour_that_connects_during_an_interval_is_asked_for_it_at_once() -> None:
    node = Node(CAP, "a")
    node.scheduler.link_up("a")
    [(key, seconds)] = node.announced
    assert key == "a"
    assert seconds > 1


async def test_neighbours_that_use_up_the_cap_are_asked_to_pause_even_between_rounds() -> None:
    node = Node(CAP, "a")
    await node.round()
    node.traffic["a"].received.link_bytes += CAP.max_bytes
    node.now += 100
    node.scheduler.update_interval()
    assert node.announced[-1] == ("a", 3_600)
    assert await node.round() == set()


async def test_an_exchange_in_which_no_mask_could_be_sent_is_due_again() -> None:
    node = Node(CAP, "a")
    for _ in range(3):  # the exchange is not open yet, so there is nothing that could be sent
        node.now += 1.0
        assert (await node.scheduler.decide())[0] == frozenset()
    assert await node.round() == {"a"}
    assert await node.round() == set()


async def test_without_a_cap_nothing_is_foretold_from_the_first_minutes() -> None:
    node = Node(None, "a")
    await node.round(cost=4_000)
    assert node.scheduler.usage().forecast_bytes is None
    node.now += 600
    assert node.scheduler.usage().forecast_bytes is not None
    capped = Node(CAP, "a")
    await capped.round(cost=4_000)
    assert capped.scheduler.usage().forecast_bytes is not None
