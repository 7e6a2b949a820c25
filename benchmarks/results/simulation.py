"""The tables of ``benchmarks.simulation``, ``benchmarks.fidelity`` and ``benchmarks.testbed``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.results.markdown import Column, Row, formatted, number, table, text

OWN_ENGINES = ("local", "ray")
NAMES = {"local": "`local`", "ray": "`ray`", "flower": "Flower", "p2pfl": "p2pfl"}
FIGURES = {
    "payload_bits": "payload bits per round",
    "wire_bytes": "wire bytes per round",
    "score": "score, last ten rounds",
    "rounds_per_minute": "rounds per minute",
}
IN_POINTS = "score"

Result = dict[str, Any]


def nodes(result: Result) -> str:
    """Return what simulated nodes cost, by engine and number."""
    columns = [
        text("engine", "engine", NAMES),
        number("nodes", "nodes", ","),
        number("edges", "links", ","),
        number("seconds_per_round", "seconds per round", ".2f"),
        number("milliseconds_per_node", "ms per node and round", ".2f"),
        number("edges_per_second", "links per second", ",.0f"),
        number("mb_per_node", "MB per node", ".2f"),
        number("mb_beyond", "beyond scores and data", ".2f"),
    ]
    return table(columns, [row for row in result["rows"] if row["engine"] in OWN_ENGINES])


def others(result: Result) -> str:
    """Return other simulators beside ``local``, at the numbers of nodes that they were run with."""
    rows = result["rows"]
    sizes = sorted({row["nodes"] for row in rows if row["engine"] not in OWN_ENGINES})
    shown = [row for size in sizes for row in rows if row["nodes"] == size and row["engine"] != "ray"]
    columns = [
        text("engine", "engine", NAMES),
        number("nodes", "nodes", ","),
        number("edges", "links", ","),
        number("seconds_per_round", "seconds per round", ".2f"),
        Column("times ours", lambda row: _over_local(rows, row, "seconds_per_round")),
        number("mb_per_node", "MB per node", ".2f"),
        Column("times ours ", lambda row: _over_local(rows, row, "mb_per_node")),
    ]
    return table(columns, shown)


def _over_local(rows: Sequence[Row], row: Row, key: str) -> str:
    """Return a figure as a multiple of ``local``'s at as many nodes; nothing for ``local`` and where one has none."""
    base = next(
        (other.get(key) for other in rows if (other["engine"], other["nodes"]) == ("local", row["nodes"])), None
    )
    if row["engine"] == "local" or not base or row.get(key) is None:
        return ""
    return format(row[key] / base, ".2f")


def fidelity(result: Result) -> str:
    """Return a real network beside the same one, simulated."""
    columns = [
        text("figure", "means over nodes", FIGURES),
        number("real", "real", ",.1f"),
        number("simulated", "simulated", ",.1f"),
        Column("difference", lambda row: _difference(row, row["difference"], "+")),
        Column("goal", lambda row: "" if row["goal"] is None else _difference(row, row["goal"], "")),
    ]
    return table(columns, result["rows"])


def testbed(result: Result) -> str:
    """Return a testbed whose nodes were killed."""
    columns = [
        number("nodes", "daemons"),
        number("kills", "killed"),
        number("finished", "did all rounds"),
        number("first_score", "accuracy after a round, %", ".1f"),
        number("score", "at the end, %", ".1f"),
        number("worst_score", "worst node, %", ".1f"),
        number("private_mb", "private memory, MB, median", ".1f"),
        number("most_private_mb", "most", ".1f"),
        number("seconds", "seconds in all", ".0f"),
        number("processes_left", "processes left"),
    ]
    return table(columns, result["rows"])


def _difference(row: Row, value: float, sign: str) -> str:
    if row["figure"] == IN_POINTS:
        return f"{formatted(value, f'{sign}.1f')} points"
    return f"{formatted(100 * value, f'{sign}.1f')} %"
