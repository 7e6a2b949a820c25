"""One local training step of ours against the dense model's and against the authors' way of doing it.

Each model and batch has a goal of its own: at most so many times a dense step. One thread; the three take turns, and
ratios are medians over the turns.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence

import torch

from benchmarks.report import Column, Report, Row, arguments, interleaved, median_ratio, print_table, publish
from benchmarks.step_profile import PARTS, profile
from benchmarks.steps import Case, authors_steps, dense_steps, our_steps

GREY, COLOUR = (1, 28, 28), (3, 32, 32)
CASES = (
    Case("mlp", GREY, 32),
    Case("mlp", GREY, 128),
    Case("cnn", GREY, 32),
    Case("cnn", GREY, 128),
    Case("alexnet", COLOUR, 128),
)
GOALS = {("mlp", 32): 1.6, ("mlp", 128): 1.3, ("cnn", 32): 1.2, ("cnn", 128): 1.05, ("alexnet", 128): 1.2}
"""By model and batch: how many dense steps one of ours may take at most."""
COLUMNS = (
    Column("model", "model"),
    Column("batch", "batch"),
    Column("weights", "weights", ","),
    Column("ours_ms", "ours, ms", ".2f"),
    Column("dense_ms", "dense, ms", ".2f"),
    Column("authors_ms", "authors' way, ms", ".2f"),
    Column("ours_to_dense", "ours / dense", ".2f"),
    Column("goal", "goal", ".2f"),
    Column("ours_to_authors", "ours / authors'", ".2f"),
)


def main() -> int:
    """Run the benchmark."""
    chosen = arguments(__doc__ or "", ("--profile", "also print where the time of our step goes"))
    torch.set_num_threads(1)
    rows = [_measure(case, chosen.quick) for case in CASES]
    if chosen.profile:
        for row, parts in zip(rows, _profiles(chosen), strict=True):
            row["profile_ms"] = parts
    publish("One local training step", COLUMNS, Report(rows, summary_of(rows)), chosen.json)
    return 0


def summary_of(rows: Sequence[Row]) -> Row:
    """Return the worst ratio to a dense step, and the cases whose ratio is above their goal."""
    missed = [f"{row['model']}, batch {row['batch']}" for row in rows if row["ours_to_dense"] > row["goal"]]
    worst = max(row["ours_to_dense"] for row in rows)
    return {"worst_ours_to_dense": worst, "missed": missed, "goals_met": not missed}


def _measure(case: Case, quick: bool) -> Row:
    steps, repetitions = _effort(case, quick)
    seconds = interleaved(
        {"ours": our_steps(case, steps), "dense": dense_steps(case, steps), "authors": authors_steps(case, steps)},
        repetitions,
    )
    row: Row = {"model": case.model, "batch": case.batch, "goal": GOALS[case.model, case.batch]}
    row["weights"] = sum(parameter.numel() for parameter in case.build().parameters())
    row |= {f"{name}_ms": 1000 * statistics.median(taken) / steps for name, taken in seconds.items()}
    for other in ("dense", "authors"):
        row[f"ours_to_{other}"] = median_ratio(seconds["ours"], seconds[other])
    return row


def _effort(case: Case, quick: bool) -> tuple[int, int]:
    """Return the steps of a turn and the number of turns."""
    if case.model == "alexnet":
        return (2, 5) if quick else (5, 15)
    return (10, 15) if quick else (10, 60)


def _profiles(chosen: argparse.Namespace) -> list[Row]:
    rows = [profile(case, *_effort(case, chosen.quick)) for case in CASES]
    columns = [Column("model", "model"), Column("batch", "batch")]
    columns += [Column(part, part, ".3f") for part in (*PARTS, "sum")]
    print_table("Where the time of our step goes, ms a step", columns, rows)
    return rows


if __name__ == "__main__":
    sys.exit(main())
