"""Decides what a column is by what was seen of it: number, flag, category, point in time, or nothing to learn from."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dslnode.data.scaling import robust_scale
from dslnode.data.schema import Column, ColumnKind, Cycle, MissingCells
from dslnode.data.tables.cells import (
    EPOCH,
    EPOCH_MILLISECONDS,
    MISSING_AMONG_NUMBERS,
    cycle_phases,
    flag_texts,
    parse_number,
    parse_time,
    time_format,
)
from dslnode.data.tables.profile import ColumnProfile

MAX_INPUT_CATEGORIES = 256
ROWS_PER_CATEGORY = 5
FEW = 10
"""Categories of a small table: so many need not occur often, if any occurs twice."""
MAX_NUMBER_CLASSES = 20
ROWS_PER_CLASS = 3
MAX_ODD_SHARE = 0.2
"""Part of the cells of a column of numbers that may hold one of few texts, which then stand for a missing number."""
IDENTIFIER = re.compile(
    r"(^|[^a-z])(id|ids|uuid|guid|index|idx|rownames?|row|key|serial|unnamed_[0-9]+|unnamed: 0)$", re.IGNORECASE
)
CAMEL_IDENTIFIER = re.compile(r"[a-z](Id|ID)$")
EPOCH_NAME = re.compile(r"time|date|epoch|unix|stamp|^ts$", re.IGNORECASE)
UNIT_IN_BRACKETS = re.compile(r"[(\[]\s*([^()\[\]]{1,16}?)\s*[)\]]\s*$")
UNITS = frozenset(
    "c f k degc degf celsius kpa hpa pa mpa bar psi mbar rpm mm cm m km in ft mi kg g mg lb s ms us min h hz khz mhz "  # noqa: SIM905
    "v mv a ma w kw kwh wh nm pct percent ppm ppb lux db l ml mph kmh".split()
)
DAY = 86_400.0
EPOCH_RANGE = (3e8, 4e9)
"""Seconds from 1979 to 2096: whole numbers there, in a column named after time, are points in time."""
DATE_RANGE = (18_000_101, 21_991_231)
"""The same as dates of eight digits."""


def describe_column(profile: ColumnProfile, missing: MissingCells | None) -> Column:
    """Return what a column is as an input."""
    reason = _no_use(profile)
    if reason:
        return Column(name=profile.name, kind=ColumnKind.IGNORED, empty=profile.empty, why=reason)
    policy = missing or ("indicator" if profile.empty or (profile.odd and _is_number(profile)) else "median")
    if _is_number(profile):
        return _timestamp(profile, policy) or number_column(profile, policy)
    return _flag(profile, policy) or _timestamp(profile, policy) or _category(profile, policy)


def _no_use(profile: ColumnProfile) -> str:
    """Return why a column holds nothing to learn from, or an empty text."""
    if profile.filled == 0:
        return "empty"
    if profile.is_constant and not profile.empty:
        return f"constant: always {next(iter(profile.distinct), '')[:40]!r}"
    named = IDENTIFIER.search(profile.name) or CAMEL_IDENTIFIER.search(profile.name)
    if profile.counts_rows and profile.numbers > 2 and (named or profile.first in {0.0, 1.0}):
        return "counts the rows"
    unique = profile.overflow or len(profile.distinct) == profile.filled
    if named and unique and profile.filled > 2 and (profile.is_text or profile.whole):
        return "an identifier: no value occurs twice"
    return ""


def _is_number(profile: ColumnProfile) -> bool:
    """Return whether a column is one of numbers, be it with some texts that stand for a missing one."""
    if profile.is_text or not profile.numbers:
        return False
    odd = sum(profile.odd.values())
    if not odd and not profile.odd_overflow:
        return True
    known = all(text.lower() in MISSING_AMONG_NUMBERS for text in profile.odd)
    few = odd <= MAX_ODD_SHARE * profile.filled and len(profile.odd) < 4 and profile.numbers > 1
    return not profile.odd_overflow and (known or few)


def number_column(profile: ColumnProfile, missing: MissingCells) -> Column:
    """Return a column of numbers with its robust centre and scale."""
    centre, scale = robust_scale(profile.sample)
    return Column(
        name=profile.name,
        kind=ColumnKind.NUMBER,
        unit=unit_of(profile.name),
        low=profile.low,
        high=profile.high,
        empty=profile.empty + sum(profile.odd.values()),
        centre=centre,
        scale=scale,
        missing=missing,
        marks=tuple(profile.odd),
    )


def unit_of(name: str) -> str:
    """Return the unit that a name ends with: ``Temperature [°C]``, ``speed (rpm)``, ``pressure_kpa``; else nothing."""
    bracketed = UNIT_IN_BRACKETS.search(name)
    if bracketed:
        return bracketed[1]
    last = re.split(r"[_\s.]", name)[-1]
    return last if last.lower() in UNITS and last != name else ""


def _flag(profile: ColumnProfile, missing: MissingCells) -> Column | None:
    texts = flag_texts(profile.distinct)
    if texts is None:
        return None
    return Column(name=profile.name, kind=ColumnKind.FLAG, empty=profile.empty, categories=texts, missing=missing)


def _category(profile: ColumnProfile, missing: MissingCells) -> Column:
    count = len(profile.distinct)
    often = ROWS_PER_CATEGORY * count <= profile.filled or (count <= FEW and count < profile.filled)
    if profile.overflow or count > MAX_INPUT_CATEGORIES or not often:
        shown = f"over {profile.max_distinct:,}" if profile.overflow else f"{count:,}"
        what = "numbers and texts mixed" if profile.numbers else "an identifier or free text"
        why = f"{shown} different texts in {profile.filled:,} rows: {what}"
        return Column(name=profile.name, kind=ColumnKind.IGNORED, empty=profile.empty, why=why)
    return Column(
        name=profile.name,
        kind=ColumnKind.CATEGORY,
        empty=profile.empty,
        categories=sorted_texts(profile.distinct),
        missing=missing,
    )


def _timestamp(profile: ColumnProfile, missing: MissingCells) -> Column | None:
    texts = list(profile.distinct) or profile.examples
    form = _number_time(profile, texts) if _is_number(profile) else time_format(texts)
    if not form:
        return None
    moments = np.array([moment for text in texts if (moment := parse_time(text, form)) is not None])
    return Column(
        name=profile.name,
        kind=ColumnKind.TIMESTAMP,
        low=float(moments.min()),
        high=float(moments.max()),
        empty=profile.empty,
        centre=float(np.median(moments)),
        scale=float(moments.std()) or 1.0,
        missing=missing,
        format=form,
        cycles=_cycles(moments, profile.filled),
    )


def _number_time(profile: ColumnProfile, texts: Iterable[str]) -> str:
    """Return the format of points in time that are written as numbers, if these are some."""
    if not EPOCH_NAME.search(profile.name):
        return ""
    if EPOCH_RANGE[0] <= profile.low and profile.high <= EPOCH_RANGE[1]:
        return EPOCH
    if 1000 * EPOCH_RANGE[0] <= profile.low and profile.high <= 1000 * EPOCH_RANGE[1]:
        return EPOCH_MILLISECONDS
    if profile.whole and DATE_RANGE[0] <= profile.low and profile.high <= DATE_RANGE[1]:
        return "%Y%m%d" if all(parse_time(text, "%Y%m%d") is not None for text in texts) else ""
    return ""


def _cycles(moments: NDArray[np.float64], rows: int) -> tuple[Cycle, ...]:
    """Return the cycles that points in time go through, seen at least once and finely enough; else their order."""
    span = float(moments.max() - moments.min())
    step = span / max(1, rows - 1)
    found: list[Cycle] = []
    if step < DAY / 2 and np.ptp(cycle_phases(moments, "day")) > 0:
        found.append("day")
    if step <= 2 * DAY and span >= 7 * DAY:
        found.append("week")
    if step <= 60 * DAY and span >= 300 * DAY:
        found.append("year")
    return tuple(found) or ("order",)


def sorted_texts(texts: Iterable[str]) -> tuple[str, ...]:
    """Return distinct texts in the order of nature: numbers by size, then texts by letters."""

    def key(text: str) -> tuple[bool, float, str]:
        number = parse_number(text, ".")
        return number is None, number or 0.0, text

    return tuple(sorted(texts, key=key))


def may_be_classes(profile: ColumnProfile) -> bool:
    """Return whether a column's values look like classes: texts that repeat, or few different whole numbers."""
    count = len(profile.distinct)
    if profile.overflow or count < 2:
        return False
    if not _is_number(profile):
        return count <= max(2, profile.filled // 2) and not time_format(profile.distinct)
    if not profile.whole:
        return count == 2
    return count == 2 or (
        count <= MAX_NUMBER_CLASSES
        and (profile.filled >= ROWS_PER_CLASS * count or (profile.low == 0 and profile.high == count - 1))
    )


def may_be_numbers(profile: ColumnProfile) -> bool:
    """Return whether a column may be the target of a regression."""
    return _is_number(profile) and not profile.is_constant and _timestamp(profile, "median") is None
