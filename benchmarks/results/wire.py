"""The tables of ``benchmarks.wire``: coded masks, messages, four nodes, and how they settle."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from statistics import mean
from typing import Any

from benchmarks.results.markdown import Column, Row, number, table, text

Result = dict[str, Any]
LEARNED = 30
"""Rounds after which nodes that settle have learned: from then on the accuracy should stay."""


def coding(result: Result) -> str:
    """Return the size of coded keep masks, and the coder's speed."""
    columns = [
        text("what", "masks"),
        number("coded_bytes", "coded bytes", ",.0f"),
        number("coded_over_floor", "over entropy", ".3f"),
        number("coded_over_raw", "over raw", ".4f"),
        number("coded_over_float32", "over float32", ".5f"),
        number("coded_over_zstd", "over zstd -19 of the XOR", ".2f"),
        number("coded_over_sc_encode", "over `sc_encode`", ".2f"),
        Column("M weights/s, coded / decoded", _speeds),
    ]
    return table(columns, _having(result, "coded_over_floor"))


def _speeds(row: Row) -> str:
    return " / ".join(f"{row[f'{way}_weights_per_second'] / 1e6:.0f}" for way in ("encode", "decode"))


def framing(result: Result) -> str:
    """Return the bytes on the wire around one coded mask."""
    columns = [
        Column("way", lambda row: _way(row["what"]), is_text=True),
        number("coded_bytes", "coded bytes", ",.0f"),
        number("wire_bytes", "on the wire", ",.0f"),
        number("wire_over_coded", "over coded", ".4g"),
        number("both_ways_over_coded", "with the answers", ".4g"),
    ]
    return table(columns, _having(result, "wire_over_coded"))


def _way(what: str) -> str:
    """Return how messages travelled, without their size."""
    ways = [part for part in what.split(", ") if part != "wire" and not part.startswith("messages of")]
    return ", ".join(ways) or "loopback"


def ring_and_mesh(result: Result) -> str:
    """Return the bytes that four daemons send, in the first rounds and settled."""
    columns = [
        Column("graph and masks", lambda row: _graph(row["what"]), is_text=True),
        number("first3_bytes", "first three rounds", ",.0f"),
        number("settled_bytes", "settled", ",.0f"),
        number("rounds", "rounds"),
    ]
    return table(columns, _having(result, "first3_bytes"))


def _graph(what: str) -> str:
    graph, _, options = what.partition(" ")
    return f"{graph}, {'keep masks' if options == '--exchange keep' else 'sign masks (default)'}"


def settling(result: Result) -> str:
    """Return how many sign masks four nodes still send as they settle: means over the seeds of a graph."""
    marks = sorted({row["rounds"] for row in result["rows"]})
    shown = (LEARNED, marks[-1])
    columns = [
        text("what", "graph, data"),
        number("seeds", "seeds"),
        *(number(f"sent to {mark}", f"{since + 1}-{mark}", ".2f") for since, mark in pairwise([0, *marks])),
        *(number(f"accuracy after {mark}", f"accuracy after {mark}, %", ".1f") for mark in marks if mark in shown),
    ]
    return table(columns, [_settled(result, what) for what in dict.fromkeys(row["what"] for row in result["rows"])])


def _settled(result: Result, what: str) -> Row:
    own = [row for row in result["rows"] if row["what"] == what]
    found: dict[str, Any] = {"what": what, "seeds": len({row["seed"] for row in own})}
    for mark in {row["rounds"] for row in own}:
        of_mark = [row for row in own if row["rounds"] == mark]
        found[f"sent to {mark}"] = mean(row["sent"] for row in of_mark)
        found[f"accuracy after {mark}"] = mean(row["accuracy"] for row in of_mark)
    return found


def _having(result: Result, key: str) -> Iterable[Row]:
    return [row for row in result["rows"] if key in row]
