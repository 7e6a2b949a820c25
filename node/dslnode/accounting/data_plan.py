"""A data plan: whom to exchange masks with now, so that a cap on bytes holds. Decisions only; time comes as seconds.

Bytes of both directions count, as on a metered link. What is left of the cap, less what keep-alives will cost and
what neighbours may still send unasked, is spread evenly over the rest of the period: that gives the interval at which
each neighbour is spoken to, and at which it is asked to speak.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from dslnode.accounting.ledger import Ledger, total
from dslnode.config.quantities import IDLE_BYTES_PER_SECOND, SECONDS, CapPer, DataCap

LONGEST_INTERVAL = 31 * 86_400


def seconds_left(per: CapPer, now: float) -> float:
    """Return the seconds until the period ends that ``now`` (seconds since 1970) lies in."""
    if per is not CapPer.MONTH:
        return SECONDS[per] - now % SECONDS[per]
    day = datetime.fromtimestamp(now, UTC)
    following = datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=UTC)
    return following.timestamp() - now


def elapsed(per: CapPer, now: float) -> float:
    """Return the part of the period, 0 to 1, that is over at ``now`` (seconds since 1970)."""
    length: float = SECONDS[per]
    if per is CapPer.MONTH:
        days = datetime.fromtimestamp(now, UTC).day - 1
        length = seconds_left(per, now - now % 86_400 - days * 86_400)  # at the month's beginning
    return 1 - seconds_left(per, now) / length


def used(ledger: Ledger, per: CapPer, now: float) -> int:
    """Return the bytes of both directions that are booked in the period that ``now`` lies in."""
    if per is CapPer.HOUR:
        return total(ledger.hours.get(int(now // 3_600), {})).total
    today = int(now // 86_400)
    first = today if per is CapPer.DAY else today - datetime.fromtimestamp(now, UTC).day + 1
    return total(ledger.days[day] for day in ledger.days if first <= day <= today).total


@dataclass(frozen=True)
class PeerBudget:
    """A connected neighbour: seconds since masks last went to it, the interval it asked for, and a mask's cost.

    ``cost`` is what an exchange is expected to cost, both ways, in bytes on the wire.
    """

    key: str
    silent_for: float = math.inf
    wish: float = 0.0
    cost: int = 0


@dataclass(frozen=True)
class Budget:
    """What there is to spend: bytes left of the cap, seconds left of the period, and a message's largest cost.

    ``largest`` is for one message, one way. ``round_seconds`` is how long a round takes, ``period_seconds`` a period.
    """

    bytes_left: int
    seconds_left: float
    period_seconds: float
    largest: int
    round_seconds: float


@dataclass(frozen=True)
class ExchangeChoice:
    """Whom to send masks to now, and the seconds between exchanges with one neighbour; 0: every round."""

    neighbours: tuple[str, ...]
    interval: float = 0.0


def choose_exchanges(means: Budget | None, partners: Iterable[PeerBudget]) -> ExchangeChoice:
    """Return whom to speak to: those whose time has come, the longest silent first, as far as the cap allows.

    Without ``means`` there is no cap, and only what neighbours asked for counts. Never chosen are more than what
    would fit under the cap if each message, one each way, were of the largest size, and each other neighbour sent one.
    """
    waiting = sorted(partners, key=lambda partner: (-partner.silent_for, partner.key))
    if means is None:
        return ExchangeChoice(tuple(partner.key for partner in waiting if partner.silent_for >= partner.wish))
    budget = spendable(means, len(waiting))
    interval = spacing(budget, means, waiting)
    chosen: list[str] = []
    for partner in waiting:
        if partner.silent_for >= max(interval, partner.wish) and budget >= 2 * means.largest:
            budget -= 2 * means.largest
            chosen.append(partner.key)
    return ExchangeChoice(tuple(chosen), interval)


def spendable(means: Budget, links: int) -> int:
    """Return the bytes that exchanges may cost: less keep-alives, and one largest message that each may still send."""
    kept = IDLE_BYTES_PER_SECOND * links * means.seconds_left + links * means.largest
    return max(0, means.bytes_left - math.ceil(kept))


def spacing(budget: int, means: Budget, partners: Iterable[PeerBudget]) -> float:
    """Return the interval at which all partners can be spoken to until the period ends; 0 if that is every round.

    When nothing is left it is a whole period: an interval counts from the last mask, so that what is left of the
    period would let each neighbour speak once more.
    """
    several = list(partners)
    if budget < 2 * means.largest:
        return means.period_seconds if several else 0.0
    interval = sum(partner.cost for partner in several) * means.seconds_left / budget
    return 0.0 if interval <= means.round_seconds else min(interval, LONGEST_INTERVAL)


def forecast(used_so_far: int, rate: float, left: float, cap: DataCap | None) -> int:
    """Return the bytes that the period will have cost, at ``rate`` bytes a second and within the cap."""
    expected = used_so_far + math.ceil(rate * left)
    return expected if cap is None else min(expected, max(cap.size, used_so_far))
