"""A data plan: with whom to exchange masks now, so that a cap on bytes holds. Decisions only; time comes as seconds.

Bytes of both directions count, as on a metered link. What is left of the cap, less what keep-alives will cost and
what neighbours may still send unasked, is spread evenly over the rest of the period. That gives the interval at which
each neighbour is sent masks, and at which it is asked to send its own.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from dslnode.accounting.ledger import Ledger, total
from dslnode.config.quantities import IDLE_BYTES_PER_SECOND, PERIOD_SECONDS, CapPeriod, DataCap

MAX_INTERVAL_SECONDS = 31 * 86_400
RESERVES_PER_CAP = 100
"""Parts of a cap that are reserved on the disk one after another: a crash costs at most one of them."""
LEAST_RESERVES_PER_CAP = 10_000
"""The same where nothing is left for exchanges: for less, keep-alives would have the ledger saved every few seconds."""


def seconds_left(period: CapPeriod, now: float) -> float:
    """Return the seconds until the end of the period that ``now`` (seconds since 1970) lies in."""
    if period is not CapPeriod.MONTH:
        return PERIOD_SECONDS[period] - now % PERIOD_SECONDS[period]
    day = datetime.fromtimestamp(now, UTC)
    next_month = datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=UTC)
    return next_month.timestamp() - now


def elapsed_fraction(period: CapPeriod, now: float) -> float:
    """Return the part of the period, 0 to 1, that is over at ``now`` (seconds since 1970)."""
    length: float = PERIOD_SECONDS[period]
    if period is CapPeriod.MONTH:
        days = datetime.fromtimestamp(now, UTC).day - 1
        length = seconds_left(period, now - now % 86_400 - days * 86_400)  # at the month's beginning
    return 1 - seconds_left(period, now) / length


def used_bytes(ledger: Ledger, period: CapPeriod, now: float) -> int:
    """Return the bytes of both directions that are booked in the period that ``now`` lies in."""
    if period is CapPeriod.HOUR:
        return total(ledger.hours.get(int(now // 3_600), {})).total
    today = int(now // 86_400)
    first = today if period is CapPeriod.DAY else today - datetime.fromtimestamp(now, UTC).day + 1
    return total(ledger.days[day] for day in ledger.days if first <= day <= today).total


@dataclass(frozen=True)
class PeerBudget:
    """One connected neighbour: seconds since masks were last sent to it, the interval it asked for, and its cost.

    ``exchange_bytes`` is the expected cost of one exchange, both ways, on the wire.
    """

    key: str
    seconds_since_exchange: float = math.inf
    requested_interval_seconds: float = 0.0
    exchange_bytes: int = 0


@dataclass(frozen=True)
class Budget:
    """What is left to spend in the present period.

    ``max_message_bytes`` bounds one message, one way; ``round_seconds`` is how long a round takes.
    """

    bytes_left: int
    seconds_left: float
    period_seconds: float
    max_message_bytes: int
    round_seconds: float


@dataclass(frozen=True)
class ExchangeChoice:
    """Neighbours to send masks to now, and the seconds between exchanges with one neighbour; 0: every round."""

    neighbours: tuple[str, ...]
    interval_seconds: float = 0.0


def choose_exchanges(budget: Budget | None, peers: Iterable[PeerBudget]) -> ExchangeChoice:
    """Return the neighbours that are due, those waiting longest first, as far as the cap allows.

    Without ``budget`` there is no cap, and only what neighbours asked for counts. The choice is bounded: it fits under
    the cap even if each message, one each way, is of the largest size, and every other neighbour sends one as well.
    """
    waiting = sorted(peers, key=lambda peer: (-peer.seconds_since_exchange, peer.key))
    if budget is None:
        due = [peer.key for peer in waiting if peer.seconds_since_exchange >= peer.requested_interval_seconds]
        return ExchangeChoice(tuple(due))
    spendable = spendable_bytes(budget, len(waiting))
    interval = exchange_interval(spendable, budget, waiting)
    chosen: list[str] = []
    for peer in waiting:
        is_due = peer.seconds_since_exchange >= max(interval, peer.requested_interval_seconds)
        if is_due and spendable >= 2 * budget.max_message_bytes:
            spendable -= 2 * budget.max_message_bytes
            chosen.append(peer.key)
    return ExchangeChoice(tuple(chosen), interval)


def spendable_bytes(budget: Budget, links: int) -> int:
    """Return the bytes left for exchanges: less keep-alives, and one largest message that each link may still bring."""
    kept = IDLE_BYTES_PER_SECOND * links * budget.seconds_left + links * budget.max_message_bytes
    return max(0, budget.bytes_left - math.ceil(kept))


def reserve_bytes(cap: DataCap, budget: Budget, links: int) -> int:
    """Return the bytes to reserve on the disk: a part of the cap, but no more than exchanges may still take.

    After a crash they count as used. More would take what is kept for keep-alives, and go beyond the cap in the end.
    """
    left = spendable_bytes(budget, max(1, links))
    return max(1, cap.max_bytes // LEAST_RESERVES_PER_CAP, min(cap.max_bytes // RESERVES_PER_CAP, left))


def exchange_interval(spendable: int, budget: Budget, peers: Collection[PeerBudget]) -> float:
    """Return the seconds between exchanges that all peers can have until the period ends; 0 if that is every round.

    When nothing is left it is a whole period: an interval counts from the last mask, so that what is left of the
    period would let each neighbour exchange once more.
    """
    if spendable < 2 * budget.max_message_bytes:
        return budget.period_seconds if peers else 0.0
    interval = sum(peer.exchange_bytes for peer in peers) * budget.seconds_left / spendable
    return 0.0 if interval <= budget.round_seconds else min(interval, MAX_INTERVAL_SECONDS)


def forecast_bytes(used: int, bytes_per_second: float, remaining_seconds: float, cap: DataCap | None) -> int:
    """Return the bytes that the period will have cost in the end, at the present rate and within the cap."""
    expected = used + math.ceil(bytes_per_second * remaining_seconds)
    return expected if cap is None else min(expected, max(cap.max_bytes, used))
