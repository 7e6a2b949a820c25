"""What stands in the cells of a table: numbers as people write them, cells without a value, flags, points in time."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

MISSING = frozenset({"", "?", "na", "n/a", "#n/a", "nan", "null", "<na>", "#null!", "#div/0!"})
"""Lower-case texts that stand for a cell without a value, in any column."""
MISSING_AMONG_NUMBERS = frozenset({"-", "--", "---", ".", "..", "none", "nil", "inf", "-inf", "infinity", "missing"})
"""Lower-case texts that stand for a cell without a value where the other cells of the column are numbers."""
INFINITE = frozenset({"inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"})
"""Lower-case texts that spreadsheets and programs write for a number that is too large, or divided by zero."""
FLAGS = (("no", "yes"), ("false", "true"), ("n", "y"), ("f", "t"), ("off", "on"))
"""Lower-case texts of flags: what means no, and what means yes."""
GROUPED = {
    ".": re.compile(r"[-+]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?"),
    ",": re.compile(r"[-+]?[0-9]{1,3}(\.[0-9]{3})+(,[0-9]*)?"),
}
"""Numbers whose thousands are set apart, by their decimal sign."""
CURRENCY = re.compile(r"^([-+]?)\s*[$€£¥]\s*|\s*[$€£¥%]$")
ISO, EPOCH, EPOCH_MILLISECONDS, QUARTER = "iso", "epoch", "epoch_ms", "quarter"
QUARTERS = re.compile(r"([0-9]{4})[- ]?[Qq]([1-4])")
DATES = (
    *("%Y-%m", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d.%m.%Y", "%d.%m.%y", "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y"),
    *("%d/%m/%y", "%d-%m-%Y", "%m-%d-%Y", "%d-%b-%Y", "%d-%b-%y", "%b %d %Y", "%b %d, %Y", "%d %b %Y"),
    *("%b-%d-%Y", "%B %d, %Y", "%d %B %Y", "%b %Y", "%b-%Y", "%b-%y", "%Y %b"),
)
TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S")
CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%a %b %d %H:%M:%S %Y")
SECONDS_OF = {"day": 86_400.0, "week": 7 * 86_400.0, "year": 365.2425 * 86_400.0}
MONDAY = 4 * 86_400.0
"""Seconds from the epoch to its first Monday."""


def is_missing(cell: str, marks: Collection[str] = ()) -> bool:
    """Return whether a cell has no value."""
    text = cell.strip()
    return text.lower() in MISSING or text in marks


def is_infinite(cell: str) -> bool:
    """Return whether a cell among numbers holds an infinite one, which counts as none."""
    return cell.strip().lower() in INFINITE


def parse_number(cell: str, decimal: str) -> float | None:
    """Return the finite number that a cell holds, or None. Thousands may be set apart; $, € and % are left away."""
    text = CURRENCY.sub(r"\1", cell.strip()).strip()
    if not text or "_" in text:
        return None
    if "," in text or decimal == ",":
        if GROUPED[decimal].fullmatch(text):
            text = text.replace("." if decimal == "," else ",", "")
        elif "," in text and decimal == ".":
            return None
        text = text.replace(",", ".")
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def parse_numbers(
    cells: Sequence[str], decimal: str, marks: Collection[str] = ()
) -> tuple[NDArray[np.float64], list[int]]:
    """Return the numbers, float64 (n,), NaN where a cell has no value, and the positions that hold something else."""
    try:
        values = np.array(list(map(float, cells)), dtype=np.float64)
        if np.isfinite(values).all() and "_" not in "".join(cells):
            return values, []
    except ValueError:
        pass
    values = np.full(len(cells), np.nan)
    wrong = []
    for position, cell in enumerate(cells):
        number = parse_number(cell, decimal)
        if number is not None:
            values[position] = number
        elif not is_missing(cell, marks):
            wrong.append(position)
    return values, wrong


def flag_texts(texts: Collection[str]) -> tuple[str, str] | None:
    """Return the texts for no and yes as they are written, if the distinct ``texts`` of a column are a flag's."""
    lowered = {text.strip().lower(): text.strip() for text in texts}
    for no, yes in FLAGS:
        if len(texts) == 2 and lowered.keys() == {no, yes}:
            return lowered[no], lowered[yes]
    return None


def time_format(texts: Collection[str]) -> str:
    """Return the format in which all ``texts`` are points in time, or an empty text.

    Where day and month cannot be told apart, the month is taken to come first.
    """
    sample = [text.strip() for text in texts]
    if not sample or not all(any(sign.isdigit() for sign in text) for text in sample):
        return ""
    marks = _marks(sample[0])
    candidates = (*CLOCKS, *(date + time for date in DATES for time in TIMES))
    for form in (ISO, QUARTER, *(form for form in candidates if _marks(form.replace("%", "")) == marks)):
        if all(parse_time(text, form) is not None for text in sample):
            return form
    return ""


def _marks(text: str) -> str:
    """Return the signs of a text that are neither letters nor digits: a format has those of the texts it is for."""
    return "".join(sign for sign in text if not sign.isalnum())


def parse_time(cell: str, form: str) -> float | None:
    """Return the point in time that a cell holds, in seconds since 1970 in UTC, or None."""
    text = cell.strip()
    if form in {EPOCH, EPOCH_MILLISECONDS}:
        number = parse_number(text, ".")
        return number if number is None or form == EPOCH else number / 1000
    if form == QUARTER:
        match = QUARTERS.fullmatch(text)
        return (
            datetime(int(match[1]), 3 * int(match[2]) - 2, 1, tzinfo=UTC).timestamp()
            if match and match[1] > "0000"
            else None
        )
    try:
        moment = datetime.fromisoformat(text) if form == ISO else datetime.strptime(text, form)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def cycle_phases(moments: NDArray[np.float64], cycle: str) -> NDArray[np.float64]:
    """Return where points in time (seconds since 1970) are in a day, week or year: 0 at its begin, to 1."""
    offset = MONDAY if cycle == "week" else 0.0
    return np.mod(moments - offset, SECONDS_OF[cycle]) / SECONDS_OF[cycle]
