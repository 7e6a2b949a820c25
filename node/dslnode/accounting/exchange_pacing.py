"""Asks the data plan in every round, tells neighbours how often to speak, and counts what the node gave up."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from dslnode.accounting.bookkeeper import Bookkeeper
from dslnode.accounting.data_plan import (
    LONGEST_INTERVAL,
    Budget,
    ExchangeChoice,
    PeerBudget,
    choose_exchanges,
    elapsed,
    forecast,
    seconds_left,
    used,
)
from dslnode.accounting.ledger import total
from dslnode.config.quantities import IDLE_BYTES_PER_SECOND, SECONDS, CapPer, DataCap
from dslnode.protocol.messages import IntervalRequest
from dslnode.transport.connection_manager import MAX_ACCOUNTS, ConnectionManager
from dslnode.transport.link import Link
from dslnode.transport.traffic import Traffic

RESERVES_A_CAP = 100
"""Parts of a cap that are reserved on the disk one after another: a crash costs at most one of them."""
INTERVAL_CHANGE = 1.25
"""Factor by which the interval must have changed for a neighbour to be told."""


@dataclass(frozen=True)
class Usage:
    """What the node used in its period, in bytes of both directions, and what it gave up for a cap."""

    hour: int
    day: int
    cap: DataCap | None
    used: int
    forecast: int
    skipped: int
    interval: float
    elapsed: float  # part of the period that is over


@dataclass
class _PeerState:
    """What is remembered of a neighbour: when masks last went to it, what an exchange cost, what was said on a link."""

    cost: int
    moved: int
    spoken: float = -math.inf
    formerly: float = -math.inf  # when it was spoken to before that
    masks: int = -1  # bytes of masks that had gone out when it was chosen last
    wish: float = 0.0
    told: int = 0
    link: Link | None = None


class ExchangeScheduler:
    """Decides for one node. ``largest`` bounds what one mask costs, one way, in bytes on the wire."""

    def __init__(
        self,
        cap: DataCap | None,
        largest: int,
        network: ConnectionManager,
        books: Bookkeeper,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.skipped = 0
        self.interval = 0.0
        self._resting = 0
        self._cap = cap
        self._largest = largest
        self._network = network
        self._books = books
        self._clock = clock
        self._partners: dict[str, _PeerState] = {}
        self._decided = self._began = clock()
        self._round_seconds = 0.0
        books.ahead = 0 if cap is None else max(1, cap.size // RESERVES_A_CAP)

    def up(self, key: str) -> None:
        """A link came up: tell the neighbour at once if there is a pace to keep."""
        self._tell(key, self._partner(key))
        self.watch()

    def watch(self) -> None:
        """Look between rounds, too, what neighbours sent, and tell them if the pace must change."""
        now = self._clock()
        means = self._means()
        if means is not None:
            self.interval = choose_exchanges(means, [self._view(one, now) for one in self._network.links]).interval
            for key in self._network.links:
                self._tell(key, self._partner(key))

    def rest(self, seconds: int) -> None:
        """Ask neighbours for masks at most once in so many seconds, whatever the plan says; 0: as the plan says."""
        self._resting = seconds
        for key in self._network.links:
            self._tell(key, self._partner(key))

    def asked(self, key: str, pace: IntervalRequest) -> None:
        """A neighbour asked for masks at most once in so many seconds."""
        self._partner(key).wish = min(pace.seconds, LONGEST_INTERVAL)

    async def decide(self) -> tuple[frozenset[str], frozenset[str]]:
        """Return the neighbours that get no mask this round, and those whose masks come at intervals."""
        now, links = self._clock(), list(self._network.links)
        if len(self._partners) > MAX_ACCOUNTS:
            self._partners = {key: one for key, one in self._partners.items() if key in links}
        for key in links:
            self._check_spoken(key)
        self._round_seconds, self._decided = now - self._decided, now
        means = self._means()
        choice = choose_exchanges(means, [self._view(key, now) for key in links])
        if means is not None and choice.neighbours:
            kept = await self._books.reserve(2 * self._largest * len(choice.neighbours))
            choice = choice if kept else ExchangeChoice((), choice.interval)
        self.interval = choice.interval
        for key in links:
            self._tell(key, self._partner(key))
        for key in choice.neighbours:
            self._speak(key, now)
        skipped = frozenset(links) - frozenset(choice.neighbours)
        self.skipped += len(skipped)
        return skipped, frozenset(key for key in links if self.interval or self._partner(key).wish or key in skipped)

    def usage(self) -> Usage:
        """Return what was used and given up so far."""
        ledger, now = self._books.ledger, self._books.seconds
        per = CapPer.DAY if self._cap is None else self._cap.per
        spent, left = used(ledger, per, now), seconds_left(per, now)
        rate = self._books.moved / max(1.0, self._clock() - self._began)
        hour, day = total(ledger.hours.get(int(now // 3_600), {})).total, used(ledger, CapPer.DAY, now)
        expected = forecast(spent, rate, left, self._cap)
        return Usage(hour, day, self._cap, spent, expected, self.skipped, self.interval, elapsed(per, now))

    def _means(self) -> Budget | None:
        if self._cap is None:
            return None
        self._books.book()
        wall = self._books.seconds
        left = self._cap.size - used(self._books.ledger, self._cap.per, wall)
        per = self._cap.per
        return Budget(left, seconds_left(per, wall), SECONDS[per], self._largest, self._round_seconds)

    def _view(self, key: str, now: float) -> PeerBudget:
        partner = self._partner(key)
        return PeerBudget(key, now - partner.spoken, partner.wish, partner.cost)

    def _partner(self, key: str) -> _PeerState:
        partner = self._partners.setdefault(key, _PeerState(2 * self._largest, self._moved(key)))
        link = self._network.links.get(key)
        if link is not partner.link:  # a new one: there, neither side asked for anything yet
            partner.link, partner.told, partner.wish = link, 0, 0.0
        return partner

    def _check_spoken(self, key: str) -> None:
        """Let a neighbour's turn come again if no mask went out, as when its greeting had not come yet."""
        partner = self._partner(key)
        if partner.spoken == self._decided and partner.masks == self._masks(key):
            partner.spoken = partner.formerly

    def _masks(self, key: str) -> int:
        return self._network.traffic.get(key, Traffic()).sent.mask_bytes

    def _speak(self, key: str, now: float) -> None:
        """Learn from what was moved since masks last went there what an exchange costs, without keep-alives."""
        partner, moved = self._partner(key), self._moved(key)
        if math.isfinite(partner.spoken):
            idle = IDLE_BYTES_PER_SECOND * (now - partner.spoken)
            partner.cost = math.ceil((partner.cost + max(0.0, moved - partner.moved - idle)) / 2) or 1
        partner.moved, partner.masks = moved, self._masks(key)
        partner.formerly, partner.spoken = partner.spoken, now

    def _moved(self, key: str) -> int:
        traffic = self._network.traffic.get(key, Traffic())
        return traffic.sent.wire_bytes + traffic.received.wire_bytes

    def _tell(self, key: str, partner: _PeerState) -> None:
        wanted = max(math.ceil(self.interval), self._resting)
        if (wanted > 0) != (partner.told > 0) or max(wanted, partner.told) > INTERVAL_CHANGE * min(
            wanted, partner.told
        ):
            partner.told = wanted
            self._network.send(key, IntervalRequest(wanted))
