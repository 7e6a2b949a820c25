"""Results on disk: one JSON line a finished run, so that what was measured is never measured twice; and the table."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.accuracy.curves import Point, first_at, mean_curve
from benchmarks.accuracy.run import Job, Record

AVERAGED = (
    "validation", "payload_bits", "raw_bits", "nominal_bits", "payload_bits_a_weight", "local_steps", "rounds",
    "seconds",
)  # fmt: skip


class ResultsFile:
    """The records of finished runs; a line that was cut off by a crash is passed over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records: dict[str, Record] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        for line in lines:
            record = _parsed(line)
            if record is not None:
                self._records[_key(record)] = record

    def find(self, job: Job) -> Record | None:
        """Return the record of this very job, if it was run before with the same options."""
        return self._records.get(_key(job.identity()))

    def add(self, record: Record) -> None:
        """Append a record, durably enough to go on from after an interruption."""
        self._records[_key(record)] = record
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write("\n" * self._ends_cut_off() + json.dumps(record) + "\n")

    def _ends_cut_off(self) -> bool:
        text = self._path.read_bytes()
        return bool(text) and not text.endswith(b"\n")


def table(records: Sequence[Record]) -> list[Record]:
    """Return one row a case, model and method: means over its seeds, in the order of first appearance."""
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record["case"], record["model"], record["method"]), []).append(record)
    return [
        _row(group) | _against_ours(group, groups.get((case, model, "ours")))
        for (case, model, _), group in groups.items()
    ]


def _against_ours(group: list[Record], ours: list[Record] | None) -> Record:
    """Return how many times our bits a method sent until its curve came to where ours ends, on validation images.

    None if it sends none, or never came there, or ours was not run.
    """
    if ours is None or not ours[0]["payload_bits"]:
        return {"bits_to_match_ours": None}
    bits, goal = _curve(ours)[-1]
    reached = first_at(_curve(group), goal)
    return {"bits_to_match_ours": reached / bits if reached else None}


def _curve(group: list[Record]) -> list[Point]:
    return mean_curve([record["curve"] for record in group], "payload_bits", "accuracy")


def _row(group: list[Record]) -> Record:
    first = group[0]
    row: Record = {name: first[name] for name in ("case", "method", "model", "form", "measured", "options")}
    row["seed_count"] = len(group)
    means = [statistics.mean(record["nodes"]) for record in group]
    row["accuracy"] = statistics.mean(means)
    row["worst_node"] = statistics.mean(min(record["nodes"]) for record in group)
    row["of_seeds"] = [round(mean, 2) for mean in means]
    row |= {name: statistics.mean(record[name] for record in group) for name in AVERAGED}
    return row | _origin(group)


def _origin(group: list[Record]) -> Record:
    """Return when the latest of these runs was measured, and with which commits; nothing if no record says."""
    dates = [record["measured_on"] for record in group if "measured_on" in record]
    commits = {record["commit"] for record in group if record.get("commit")}
    found = {"measured_on": max(dates, default=""), "commit": ", ".join(sorted(commits))}
    return {name: value for name, value in found.items() if value}


def _parsed(line: str) -> Record | None:
    try:
        record: Any = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "case" in record else None


def _key(record: Record) -> str:
    facts = {
        name: record.get(name) for name in ("case", "method", "model", "seed", "steps", "data", "tests", "options")
    }
    return json.dumps(facts, sort_keys=True)
