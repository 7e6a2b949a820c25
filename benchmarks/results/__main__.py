"""Fill every marked table of README.md and docs/ from ``benchmarks/results/*.json``.

With ``--check`` nothing is written; the names of stale tables are printed, and the exit code is 1 if there are any.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.results import accuracy, others, simulation, wire
from benchmarks.results.markdown import fill, stale

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).parent
TABLES: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "accuracy-short": ("accuracy-mlp", accuracy.short),
    "accuracy-mlp": ("accuracy-mlp", accuracy.by_case),
    "accuracy-splits": ("accuracy-mlp", accuracy.splits),
    "accuracy-splits-worst": ("accuracy-mlp", accuracy.splits_worst),
    "accuracy-every-30": ("accuracy-every-30", accuracy.by_case),
    "accuracy-cnn": ("accuracy-cnn", accuracy.by_case),
    "accuracy-alexnet": ("accuracy-alexnet", accuracy.by_case),
    "accuracy-quick": ("accuracy-quick", accuracy.by_case),
    "together": ("together", others.together),
    "together-short": ("together", others.together_short),
    "traffic": ("traffic", others.traffic),
    "step": ("step", others.step),
    "start": ("start", others.start),
    "serving": ("serving", others.serving),
    "batching": ("batching", others.batching),
    "structured": ("structured", others.structured),
    "wire-coding": ("wire", wire.coding),
    "wire-framing": ("wire", wire.framing),
    "wire-nodes": ("wire", wire.ring_and_mesh),
    "settling": ("settling", wire.settling),
    "hostile": ("hostile", others.hostile),
    "dslth": ("dslth", others.dslth),
    "attacks": ("attacks", others.attacks),
    "tables": ("tables", others.tables),
    "frozen": ("frozen", others.frozen),
    "privacy": ("privacy", others.privacy),
    "inference": ("inference", others.inference),
    "endurance": ("endurance", others.endurance),
    "fidelity": ("fidelity", simulation.fidelity),
    "simulation": ("simulation", simulation.nodes),
    "simulation-others": ("simulation-others", simulation.others),
    "testbed": ("testbed", simulation.testbed),
}
"""By the name of a marker: the file of the result, and the function that draws it."""


def main(given: list[str] | None = None) -> int:
    """Fill the pages, or check them."""
    parser = argparse.ArgumentParser("benchmarks.results", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a table is stale")
    options = parser.parse_args(given)
    found = tables(RESULTS)
    if options.check:
        return _check(found)
    for page in pages(ROOT):
        text = page.read_text(encoding="utf-8")
        page.write_text(fill(text, found), encoding="utf-8")
    return 0


def tables(results: Path) -> dict[str, str]:
    """Return every table by name, with the command and the day that it comes from."""
    files = {name: json.loads((results / f"{name}.json").read_text(encoding="utf-8")) for name, _ in TABLES.values()}
    return {name: draw(files[file]) + caption(files[file]) for name, (file, draw) in TABLES.items()}


def caption(result: dict[str, Any]) -> str:
    """Return the line under a table: which command measured it, and when.

    Rows that were measured anew have a day of their own; the file's is that of all others.
    """
    days = sorted({row.get("measured_on", result["measured_on"]) for row in result["rows"]} or {result["measured_on"]})
    return f"\n`{result['benchmark']}`, {' to '.join(dict.fromkeys((days[0], days[-1])))}\n"


def pages(root: Path) -> list[Path]:
    """Return the pages that may have tables."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def _check(found: dict[str, str]) -> int:
    wrong = [(page, name) for page in pages(ROOT) for name in stale(page.read_text(encoding="utf-8"), found)]
    for page, name in wrong:
        print(f"{page.relative_to(ROOT)}: table {name} is stale: run python -m benchmarks.results", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
