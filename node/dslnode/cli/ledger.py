"""A node's ledger on a terminal, as CSV or as JSON: what ``dslnode ledger`` prints."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dslnode.accounting.ledger import KINDS, OTHERS, Period, lines, start_of
from dslnode.accounting.ledger_file import FILE, load
from dslnode.accounting.ledger_messages import Line, ask_ledger
from dslnode.addresses import check_address
from dslnode.errors import SettingsError


class OutputFormat(StrEnum):
    """How a ledger is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


WIDTH = 120
COLUMNS = ("start", "neighbour", "node_id", "direction", *KINDS, "total")


def show_ledger(
    address: str, directory: Path | None, per: Period, form: OutputFormat, *, timeout: float, ticket: Path | None = None
) -> None:
    """Print the ledger of the node at ``address``, or of the state directory if one is given.

    Raises ``UnreachableError``, ``StateError`` or ``SettingsError``.
    """
    found = _asked(address, per, timeout, ticket) if directory is None else _on_disk(directory, per)
    rows = [_row(line, per) for line in found]
    if form is OutputFormat.JSON:
        print(json.dumps(rows, indent=2))
    elif form is OutputFormat.CSV:
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        console = Console()
        console.width = max(WIDTH, console.width)
        console.print(as_table(rows))


def as_table(rows: Iterable[dict[str, Any]]) -> Table:
    """Return rows for people, all amounts in bytes. Names come from other nodes: they are never taken as markup."""
    table = Table(box=None, pad_edge=False)
    for column in ("UTC", "neighbour", "way"):
        table.add_column(column, no_wrap=True)
    for column in ("payload", "framing", "control", "resent", "transport", "unsaved", "total"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        amounts = (
            (row["keep_bits"] + row["sign_bits"] + 7) // 8,
            row["keep_framing"] + row["sign_framing"],
            *(row[kind] for kind in ("control", "resent", "transport", "unsaved", "total")),
        )
        who = (row["start"], escape(row["neighbour"]), row["direction"])
        table.add_row(*who, *(f"{amount:,}" for amount in amounts))
    return table


def _row(line: Line, per: Period) -> dict[str, Any]:
    period, neighbour, name, direction, amounts = line
    start = start_of(per, period).strftime("%Y-%m-%d" if per is Period.DAY else "%Y-%m-%dT%H:00Z")
    shown = "".join(letter if letter.isprintable() else " " for letter in name)
    who = ("" if neighbour == OTHERS else neighbour, str(direction))
    return dict(zip(COLUMNS, (start, shown, *who, *amounts.values(), amounts.total), strict=True))


def _asked(address: str, per: Period, timeout: float, ticket: Path | None) -> list[Line]:
    try:
        check_address(address)
    except ValueError as error:
        raise SettingsError(f"--address: {error}") from error
    return ask_ledger(address, per, timeout, ticket)


def _on_disk(directory: Path, per: Period) -> list[Line]:
    books = load(directory)
    if books is None:
        raise SettingsError(f"--state-dir: there is no {FILE} in {directory}; name the --state-dir of a node")
    return [
        (period, neighbour, books.names.get(neighbour, neighbour), direction, amounts)
        for period, neighbour, direction, amounts in lines(books.ledger, per)
    ]
