"""Asks the data plan in every round, asks neighbours for an interval, and counts the exchanges that a cap cost."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from dslnode.accounting.bookkeeper import Bookkeeper
from dslnode.accounting.data_plan import (
    LEAST_RESERVES_PER_CAP,
    MAX_INTERVAL_SECONDS,
    Budget,
    ExchangeChoice,
    PeerBudget,
    choose_exchanges,
    elapsed_fraction,
    forecast_bytes,
    reserve_bytes,
    seconds_left,
    used_bytes,
)
from dslnode.accounting.ledger import total
from dslnode.accounting.metered_network import MeteredLink, MeteredNetwork
from dslnode.config.quantities import IDLE_BYTES_PER_SECOND, PERIOD_SECONDS, CapPeriod, DataCap
from dslnode.protocol.messages import IntervalRequest
from dslnode.transport.connection_manager import MAX_ACCOUNTS
from dslnode.transport.traffic import Traffic

INTERVAL_CHANGE = 1.25
"""Factor by which the interval must have changed before neighbours are asked for another."""


@dataclass(frozen=True)
class Usage:
    """Bytes of both directions in the present hour, day and cap period, and what the cap cost."""

    hour_bytes: int
    day_bytes: int
    cap: DataCap | None
    used_bytes: int
    forecast_bytes: int | None  # None until the rate is known
    exchanges_skipped: int
    interval_seconds: float
    elapsed_fraction: float  # of the period

    @property
    def period(self) -> CapPeriod:
        """The period that ``used_bytes`` and ``forecast_bytes`` are of: the cap's, or the day without one."""
        return CapPeriod.DAY if self.cap is None else self.cap.period


@dataclass
class _PeerState:
    """One neighbour: when masks were last sent to it, what an exchange costs, and intervals asked for on its link."""

    exchange_bytes: int
    transferred_bytes: int  # at the last exchange
    last_exchange: float = -math.inf
    exchange_before: float = -math.inf
    mask_bytes: int = -1  # sent until the last exchange
    requested_interval_seconds: float = 0.0  # by the neighbour
    announced_interval_seconds: int = 0  # to the neighbour
    link: MeteredLink | None = None


FORECAST_AFTER_SECONDS = 600
"""Before that, the rate is that of the first links and masks, which no day goes on with. A cap bounds it at once."""


class ExchangeScheduler:
    """Schedules one node's exchanges. ``max_mask_bytes`` bounds a round's masks to one neighbour on the wire."""

    def __init__(
        self,
        cap: DataCap | None,
        max_mask_bytes: int,
        network: MeteredNetwork,
        bookkeeper: Bookkeeper,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.exchanges_skipped = 0
        self.interval_seconds = 0.0
        self._minimum_interval = 0
        self._cap = cap
        self._max_mask_bytes = max_mask_bytes
        self._network = network
        self._bookkeeper = bookkeeper
        self._clock = clock
        self._peers: dict[str, _PeerState] = {}
        self._round_began = self._began = clock()
        self._round_seconds = 0.0
        bookkeeper.reserve_bytes = 0 if cap is None else max(1, cap.max_bytes // LEAST_RESERVES_PER_CAP)

    def link_up(self, key: str) -> None:
        """Announce the interval, if there is one, to a neighbour whose link has just come up."""
        self._announce(key, self._peer(key))
        self.update_interval()

    def update_interval(self) -> None:
        """Follow between rounds, too, what neighbours send, and ask them for another interval if need be."""
        now, budget = self._clock(), self._budget()
        if budget is not None:
            peers = [self._peer_budget(key, now) for key in self._network.links]
            self.interval_seconds = choose_exchanges(budget, peers).interval_seconds
            self._announce_to_all()

    def set_minimum_interval(self, seconds: int) -> None:
        """Ask neighbours for masks at most once in so many seconds, whatever the plan says; 0: as the plan says."""
        self._minimum_interval = seconds
        self._announce_to_all()

    def on_interval_request(self, key: str, request: IntervalRequest) -> None:
        """Keep to a neighbour's request for masks at most once in so many seconds."""
        self._peer(key).requested_interval_seconds = min(request.seconds, MAX_INTERVAL_SECONDS)

    async def decide(self) -> tuple[frozenset[str], frozenset[str]]:
        """Return the neighbours that get no mask this round, and those whose masks come at intervals."""
        now, links = self._clock(), list(self._network.links)
        if len(self._peers) > MAX_ACCOUNTS:
            self._peers = {key: peer for key, peer in self._peers.items() if key in links}
        for key in links:
            self._undo_failed_exchange(key)
        self._round_seconds, self._round_began = now - self._round_began, now
        budget = self._budget()
        choice = choose_exchanges(budget, [self._peer_budget(key, now) for key in links])
        if budget is not None and choice.neighbours:
            reserved = await self._bookkeeper.reserve(2 * self._max_mask_bytes * len(choice.neighbours))
            choice = choice if reserved else ExchangeChoice((), choice.interval_seconds)
        self.interval_seconds = choice.interval_seconds
        for key in links:
            self._announce(key, self._peer(key))
        for key in choice.neighbours:
            self._begin_exchange(key, now)
        skipped = frozenset(links) - frozenset(choice.neighbours)
        self.exchanges_skipped += len(skipped)
        at_intervals = (
            key
            for key in links
            if self.interval_seconds or self._peer(key).requested_interval_seconds or key in skipped
        )
        return skipped, frozenset(at_intervals)

    def usage(self) -> Usage:
        """Return the bytes used so far, the forecast for the period, and the exchanges skipped."""
        ledger, now = self._bookkeeper.ledger, self._bookkeeper.now
        period = CapPeriod.DAY if self._cap is None else self._cap.period
        used = used_bytes(ledger, period, now)
        seconds = self._clock() - self._began
        rate = self._bookkeeper.booked_bytes / max(1.0, seconds)
        is_known = self._cap is not None or seconds >= FORECAST_AFTER_SECONDS
        expected = forecast_bytes(used, rate, seconds_left(period, now), self._cap) if is_known else None
        return Usage(
            hour_bytes=total(ledger.hours.get(int(now // 3_600), {})).total,
            day_bytes=used_bytes(ledger, CapPeriod.DAY, now),
            cap=self._cap,
            used_bytes=used,
            forecast_bytes=expected,
            exchanges_skipped=self.exchanges_skipped,
            interval_seconds=self.interval_seconds,
            elapsed_fraction=elapsed_fraction(period, now),
        )

    def _budget(self) -> Budget | None:
        """Return what is left of the cap, if there is one; what is reserved on the disk follows it."""
        if self._cap is None:
            return None
        self._bookkeeper.book()
        now, period = self._bookkeeper.now, self._cap.period
        budget = Budget(
            bytes_left=self._cap.max_bytes - used_bytes(self._bookkeeper.ledger, period, now),
            seconds_left=seconds_left(period, now),
            period_seconds=PERIOD_SECONDS[period],
            max_message_bytes=self._max_mask_bytes,
            round_seconds=self._round_seconds,
        )
        self._bookkeeper.reserve_bytes = reserve_bytes(self._cap, budget, len(self._network.links))
        return budget

    def _peer_budget(self, key: str, now: float) -> PeerBudget:
        peer = self._peer(key)
        return PeerBudget(key, now - peer.last_exchange, peer.requested_interval_seconds, peer.exchange_bytes)

    def _peer(self, key: str) -> _PeerState:
        peer = self._peers.setdefault(key, _PeerState(2 * self._max_mask_bytes, self._transferred_bytes(key)))
        link = self._network.links.get(key)
        if link is not peer.link:  # on a new one, neither side has asked for an interval yet
            peer.link, peer.announced_interval_seconds, peer.requested_interval_seconds = link, 0, 0.0
        return peer

    def _undo_failed_exchange(self, key: str) -> None:
        """Make a neighbour due again if the last round sent it no mask, as while the exchange is not open yet."""
        peer = self._peer(key)
        if peer.last_exchange == self._round_began and peer.mask_bytes == self._mask_bytes(key):
            peer.last_exchange = peer.exchange_before

    def _begin_exchange(self, key: str, now: float) -> None:
        """Note an exchange, and learn the cost of one from the bytes since the last, without keep-alives."""
        peer, transferred = self._peer(key), self._transferred_bytes(key)
        if math.isfinite(peer.last_exchange):
            idle = IDLE_BYTES_PER_SECOND * (now - peer.last_exchange)
            newest = max(0.0, transferred - peer.transferred_bytes - idle)
            peer.exchange_bytes = math.ceil((peer.exchange_bytes + newest) / 2) or 1
        peer.transferred_bytes, peer.mask_bytes = transferred, self._mask_bytes(key)
        peer.exchange_before, peer.last_exchange = peer.last_exchange, now

    def _mask_bytes(self, key: str) -> int:
        return self._network.traffic.get(key, Traffic()).sent.mask_bytes

    def _transferred_bytes(self, key: str) -> int:
        traffic = self._network.traffic.get(key, Traffic())
        return traffic.sent.wire_bytes + traffic.received.wire_bytes

    def _announce_to_all(self) -> None:
        for key in self._network.links:
            self._announce(key, self._peer(key))

    def _announce(self, key: str, peer: _PeerState) -> None:
        """Ask a neighbour for the present interval if it begins, ends or has changed by ``INTERVAL_CHANGE``."""
        wanted = max(math.ceil(self.interval_seconds), self._minimum_interval)
        smaller, larger = sorted((wanted, peer.announced_interval_seconds))
        if larger > INTERVAL_CHANGE * smaller:
            peer.announced_interval_seconds = wanted
            self._network.send(key, IntervalRequest(wanted))
