"""Quantities that settings give as text: a data cap (``50MB/day``), a part of the day (``22:00-06:00``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
MINUTES_PER_DAY = 24 * 60
HOURS_PATTERN = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)-([01]?\d|2[0-3]):([0-5]\d)")
IDLE_BYTES_PER_SECOND = 20
"""Upper bound of what an idle link costs, both ways: keep-alives."""


class CapPeriod(StrEnum):
    """The period of a cap: a calendar hour, day or month, in UTC."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


PERIOD_SECONDS = {CapPeriod.HOUR: 3_600, CapPeriod.DAY: 86_400, CapPeriod.MONTH: 31 * 86_400}


@dataclass(frozen=True)
class DataCap:
    """Bytes that may be sent and received, together, in each period."""

    max_bytes: int
    period: CapPeriod


def parse_cap(text: str) -> DataCap:
    """Read ``50MB/day``; ``ValueError`` saying what is wrong if it is no cap, or keep-alives would use it up."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]+)/([a-z]+)", text)
    if match is None or match[2] not in UNITS or match[3] not in set(CapPeriod):
        raise ValueError(f"{text!r} is not of the form 50MB/day (units {', '.join(UNITS)}; per hour, day or month)")
    cap = DataCap(int(float(match[1]) * UNITS[match[2]]), CapPeriod(match[3]))
    minimum = IDLE_BYTES_PER_SECOND * PERIOD_SECONDS[cap.period]
    if cap.max_bytes < minimum:
        raise ValueError(
            f"is less than the {minimum:,} bytes per {cap.period} that one idle link may cost: its keep-alives take up "
            f"to {IDLE_BYTES_PER_SECOND} bytes per second. Allow that much and room for masks, or run the node only at "
            "times"
        )
    return cap


@dataclass(frozen=True)
class Hours:
    """A part of every day, in minutes after midnight, local time; it spans midnight if the end is before the start."""

    start_minute: int
    end_minute: int

    def includes(self, minute: int) -> bool:
        """Return whether the minute of the day lies within."""
        return (minute - self.start_minute) % MINUTES_PER_DAY < (self.end_minute - self.start_minute) % MINUTES_PER_DAY


def parse_hours(text: str) -> Hours:
    """Return the hours of ``22:00-06:00``; ``ValueError`` saying what is wrong."""
    match = HOURS_PATTERN.fullmatch(text)
    if match is None:
        raise ValueError("is not a part of a day; write it as 22:00-06:00, local time")
    hour, minute, end_hour, end_minute = map(int, match.groups())
    start, end = 60 * hour + minute, 60 * end_hour + end_minute
    if start == end:
        raise ValueError("starts when it ends; leave it out to train at any time")
    return Hours(start, end)
