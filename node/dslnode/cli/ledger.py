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

from dslnode.accounting.ledger import KINDS, OTHERS, Period, ledger_lines, start_of
from dslnode.accounting.ledger_file import FILE, load
from dslnode.accounting.ledger_messages import LedgerLine, ask_ledger
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
    address: str,
    directory: Path | None,
    period: Period,
    form: OutputFormat,
    *,
    timeout: float,
    ticket: Path | None = None,
) -> None:
    """Print the ledger of the node at ``address``, or of the state directory if one is given.

    Raises ``UnreachableError``, ``StateError`` or ``SettingsError``.
    """
    lines = _ask_node(address, period, timeout, ticket) if directory is None else _read_directory(directory, period)
    rows = [_row(line, period) for line in lines]
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
    """Return rows as a table, all amounts in bytes. Names come from other nodes: they are never taken as markup."""
    table = Table(box=None, pad_edge=False)
    for column in ("UTC", "neighbour", "direction"):
        table.add_column(column, no_wrap=True)
    for column in ("payload", "framing", "control", "resent", "transport", "unsaved", "total"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        amounts = (
            (row["keep_bits"] + row["sign_bits"] + 7) // 8,
            row["keep_framing"] + row["sign_framing"],
            *(row[kind] for kind in ("control", "resent", "transport", "unsaved", "total")),
        )
        labels = (row["start"], escape(row["neighbour"]), row["direction"])
        table.add_row(*labels, *(f"{amount:,}" for amount in amounts))
    return table


def _row(line: LedgerLine, period: Period) -> dict[str, Any]:
    number, neighbour, name, direction, amounts = line
    start = start_of(period, number).strftime("%Y-%m-%d" if period is Period.DAY else "%Y-%m-%dT%H:00Z")
    printable = "".join(letter if letter.isprintable() else " " for letter in name)
    node_id = "" if neighbour == OTHERS else neighbour
    return dict(
        zip(COLUMNS, (start, printable, node_id, str(direction), *amounts.values(), amounts.total), strict=True)
    )


def _ask_node(address: str, period: Period, timeout: float, ticket: Path | None) -> list[LedgerLine]:
    try:
        check_address(address)
    except ValueError as error:
        raise SettingsError(f"--address: {error}") from error
    return ask_ledger(address, period, timeout, ticket)


def _read_directory(directory: Path, period: Period) -> list[LedgerLine]:
    state = load(directory)
    if state is None:
        raise SettingsError(f"--state-dir: there is no {FILE} in {directory}; name the --state-dir of a node")
    return [
        (number, neighbour, state.names.get(neighbour, neighbour), direction, amounts)
        for number, neighbour, direction, amounts in ledger_lines(state.ledger, period)
    ]
