"""Bytes that a node sent and received, by hour and day, neighbour and direction. No clock, no file, no network.

Hours are hours of the wall clock since 1970, in UTC. Every amount is booked under its hour and under its day; the
newest 48 hours and 400 days are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum

KEPT_HOURS = 48
KEPT_DAYS = 400
MAX_ROWS = 20_000
"""Rows beyond which the oldest periods lose their neighbours' names, and keep their sums."""
OTHERS = "others"
EARLIEST_HOUR = 490_896
"""2026-01-01T00 UTC, in hours since 1970: a clock before it was never set."""
MAX_SETBACK_HOURS = 24
"""Hours that a clock may be set back: until it has caught up, the newest hour goes on."""


class Period(StrEnum):
    """The length of a period."""

    HOUR = "hour"
    DAY = "day"


class Direction(StrEnum):
    """Which way bytes went, as this node sees it."""

    SENT = "sent"
    RECEIVED = "received"


@dataclass(frozen=True)
class Amounts:
    """One direction's traffic, by kind: payload in bits, all else in bytes. The bytes on the wire are their sum."""

    keep_bits: int = 0  # payload of keep masks, as coded
    sign_bits: int = 0  # payload of sign masks, as coded, with their scales
    keep_framing: int = 0  # what our headers, gRPC's prefix and HTTP/2's frame header add to keep masks
    sign_framing: int = 0
    control: int = 0  # hellos, opened exchanges, refusals, with their framing
    resent: int = 0  # what TCP sent again
    transport: int = 0  # TLS, HTTP/2 frames, TCP and IP headers, acknowledgements; parts of messages under way
    unsaved: int = 0  # what may have been transferred between the last save and a crash

    @property
    def payload_bits(self) -> int:
        """Payload of masks of both kinds."""
        return self.keep_bits + self.sign_bits

    @property
    def framing(self) -> int:
        """Framing of masks of both kinds, in bytes."""
        return self.keep_framing + self.sign_framing

    @property
    def total(self) -> int:
        """Bytes on the wire, IP headers included."""
        payload = (self.payload_bits + 7) // 8
        return payload + self.framing + self.control + self.resent + self.transport + self.unsaved

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(*(mine + theirs for mine, theirs in zip(self.values(), other.values(), strict=True)))

    def __sub__(self, other: Amounts) -> Amounts:
        return Amounts(*(mine - theirs for mine, theirs in zip(self.values(), other.values(), strict=True)))

    def maximum(self, other: Amounts) -> Amounts:
        """Return the larger of each amount: ``transport`` shrinks when a message under way is whole."""
        return Amounts(*map(max, self.values(), other.values()))

    def values(self) -> tuple[int, ...]:
        """Return the amounts in the order of the fields."""
        return tuple(getattr(self, kind) for kind in KINDS)


KINDS = tuple(kind.name for kind in fields(Amounts))
Row = tuple[str, Direction]
"""Neighbour (node id in hex, or ``others``) and direction."""
PeriodAmounts = dict[Row, Amounts]


@dataclass
class Ledger:
    """Amounts by hour and by day (days since 1970), each with a row for every neighbour and direction."""

    hours: dict[int, PeriodAmounts] = field(default_factory=dict)
    days: dict[int, PeriodAmounts] = field(default_factory=dict)

    @property
    def newest(self) -> int | None:
        """The newest hour that anything is booked under."""
        return max(self.hours, default=None)

    def hour_at(self, clock: int) -> int:
        """Return the hour to book under when the clock says ``clock`` (hours since 1970); drops nothing booked.

        A clock that was never set, or was set back by up to ``MAX_SETBACK_HOURS``, stays at the newest hour: no
        period comes twice. One that was set back further had run ahead: what was booked under later hours
        moves to the present one.
        """
        newest = self.newest
        if clock < EARLIEST_HOUR:
            return EARLIEST_HOUR if newest is None else newest
        if newest is None or clock >= newest:
            return clock
        if clock >= newest - MAX_SETBACK_HOURS:
            return newest
        for hour in [hour for hour in self.hours if hour > clock]:
            _merge(self.hours.setdefault(clock, {}), self.hours.pop(hour).items())
        for day in [day for day in self.days if day > clock // 24]:
            _merge(self.days.setdefault(clock // 24, {}), self.days.pop(day).items())
        return clock

    def book(self, hour: int, neighbour: str, direction: Direction, amounts: Amounts) -> None:
        """Add amounts under an hour (as ``hour_at`` gave it) and its day, and drop what is too old."""
        entry = ((neighbour, direction), amounts)
        _merge(self.hours.setdefault(hour, {}), [entry])
        _merge(self.days.setdefault(hour // 24, {}), [entry])
        _keep_newest(self.hours, KEPT_HOURS)
        _keep_newest(self.days, KEPT_DAYS)
        self._fold_oldest()

    def periods(self, period: Period) -> Mapping[int, PeriodAmounts]:
        """Return the periods of one length, by number since 1970."""
        return self.hours if period is Period.HOUR else self.days

    def _fold_oldest(self) -> None:
        rows = sum(map(len, self.hours.values())) + sum(map(len, self.days.values()))
        for periods in (self.days, self.hours):
            for number in sorted(periods)[:-1]:
                if rows <= MAX_ROWS:
                    return
                folded: PeriodAmounts = {}
                _merge(folded, (((OTHERS, row[1]), amounts) for row, amounts in periods[number].items()))
                rows -= len(periods[number]) - len(folded)
                periods[number] = folded


def total(period: PeriodAmounts | Iterable[PeriodAmounts]) -> Amounts:
    """Return the sum of all rows of a period, or of several."""
    periods = [period] if isinstance(period, dict) else period
    return sum((amounts for rows in periods for amounts in rows.values()), Amounts())


def start_of(period: Period, number: int) -> datetime:
    """Return when a period begins, in UTC."""
    return datetime.fromtimestamp(number * (3_600 if period is Period.HOUR else 86_400), UTC)


def ledger_lines(ledger: Ledger, period: Period) -> Iterator[tuple[int, str, Direction, Amounts]]:
    """Yield period, neighbour, direction and amounts, oldest first, neighbours in order, sent before received."""
    for number, rows in sorted(ledger.periods(period).items()):
        for (neighbour, direction), amounts in sorted(rows.items(), key=lambda row: (row[0][0], row[0][1] != "sent")):
            yield number, neighbour, direction, amounts


def _merge(into: PeriodAmounts, rows: Iterable[tuple[Row, Amounts]]) -> None:
    for row, amounts in rows:
        into[row] = into.get(row, Amounts()) + amounts


def _keep_newest(periods: dict[int, PeriodAmounts], count: int) -> None:
    for number in sorted(periods)[:-count]:
        del periods[number]
