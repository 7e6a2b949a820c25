"""Rows to Markdown tables, and tables into the pages that have markers for them. Pure functions.

A page names a table by ``<!-- table: NAME -->`` and ends it with ``<!-- /table -->``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]
MARKED = re.compile(r"<!-- table: (?P<name>[\w-]+) -->\n(?P<body>.*?)<!-- /table -->", re.DOTALL)


@dataclass(frozen=True)
class Column:
    """One column: its heading, what a row shows there, and whether that is text (to the left) or a number."""

    heading: str
    cell: Callable[[Row], str]
    is_text: bool = False


def text(key: str, heading: str, labels: Mapping[str, str] | None = None) -> Column:
    """Return a column of text; ``labels`` replace the values that they have."""
    return Column(heading, lambda row: (labels or {}).get(str(row[key]), str(row[key])), is_text=True)


def number(key: str, heading: str, form: str = "") -> Column:
    """Return a column of numbers; a row that has none there shows an empty cell."""
    return Column(heading, lambda row: formatted(row.get(key), form))


def formatted(value: object, form: str) -> str:
    """Return the value in this format, nothing for None."""
    return "" if value is None else format(value, form)


def table(columns: Sequence[Column], rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        [column.heading for column in columns],
        ["---" if column.is_text else "---:" for column in columns],
        *([column.cell(row) for column in columns] for row in rows),
    ]
    return "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |").replace("|  |", "| |") for line in lines)


def fill(page: str, tables: Mapping[str, str]) -> str:
    """Return the page with every marked table replaced; a name without a table is a KeyError."""
    return MARKED.sub(lambda found: marked(found["name"], tables[found["name"]]), page)


def marked(name: str, body: str) -> str:
    """Return a table between its markers."""
    return f"<!-- table: {name} -->\n\n{body}\n<!-- /table -->"


def stale(page: str, tables: Mapping[str, str]) -> list[str]:
    """Return the names of the tables that a page shows otherwise than they are now, or that do not exist."""
    return [
        found["name"]
        for found in MARKED.finditer(page)
        if found["name"] not in tables or found[0] != marked(found["name"], tables[found["name"]])
    ]
