"""The Distributed Strong Lottery Ticket Hypothesis in numbers: one random network holds a mask for every node's target.

Targets are random ReLU networks (2 inputs, 4 hidden units, 1 output, weights in [-1, 1]), one a node. The shared random
network has n candidates for each target weight; a node's mask chooses among them by exact subset sum. Its error is
the largest difference of the masked network's output from the target's over a grid of inputs in [-1, 1].
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.dslth.measuring import FULL, QUICK, SHAPE, Measurement, Plan, falls, measure, worst_errors
from benchmarks.dslth.plots import draw
from benchmarks.dslth.theory import counted_slope, limiting_slope
from benchmarks.report import Column, Report, Row, print_table, publish

CASE_COLUMNS = (Column("targets", "targets N"), Column("keep_ratio", "keep ratio"))
COLUMNS = (
    *CASE_COLUMNS,
    Column("candidates", "candidates n"),
    Column("width", "width"),
    Column("worst_error", "worst error", ".2e"),
    Column("quarter", "25 %", ".2e"),
    Column("three_quarters", "75 %", ".2e"),
    Column("bound", "bound for any target", ".2e"),
)
SLOPE_COLUMNS = (
    *CASE_COLUMNS,
    Column("slope", "fitted", ".2f"),
    Column("slope_deviation", "deviation over seeds", ".2f"),
    Column("counted_slope", "predicted, these widths", ".2f"),
    Column("limiting_slope", "predicted, limit", ".2f"),
)


def main(given: list[str] | None = None) -> None:
    """Run the benchmark."""
    options = _arguments(given)
    plan = QUICK if options.quick else FULL
    measurements = []
    for ratio in plan.ratios:
        measurements += [measure(candidates, ratio, plan) for candidates in plan.widths]
        print(f"measured: keep ratio {_name(ratio)}", flush=True)
    slopes = slope_rows(measurements, plan)
    print_table("Fall of the worst target's error, bits a candidate", SLOPE_COLUMNS, slopes)
    report = Report(error_rows(measurements, plan), summary(slopes, plan))
    publish("Largest output error of the worst of N targets: median and quartiles", COLUMNS, report, options.json)
    if options.plots is not None:
        print(draw(measurements, plan.node_counts, options.plots))


def error_rows(measurements: Sequence[Measurement], plan: Plan) -> list[Row]:
    """Return one row a number of targets, keep ratio and width; ``width`` counts the units of the first wide layer."""
    rows: list[Row] = []
    for nodes in plan.node_counts:
        for one in measurements:
            quarter, median, three_quarters = np.quantile(worst_errors(one.errors, nodes), (0.25, 0.5, 0.75)).tolist()
            row: Row = {"targets": nodes, "keep_ratio": _name(one.ratio), "candidates": one.candidates}
            row |= {"width": 2 * SHAPE.inputs * one.candidates, "worst_error": median}
            row |= {"quarter": quarter, "three_quarters": three_quarters}
            rows.append(row | {"bound": None if one.bounds is None else float(np.median(one.bounds))})
    return rows


def slope_rows(measurements: Sequence[Measurement], plan: Plan) -> list[Row]:
    """Return one row a number of targets and keep ratio: the fitted slope and the predictions."""
    rows: list[Row] = []
    for nodes in plan.node_counts:
        for ratio in plan.ratios:
            line, deviation = falls([one for one in measurements if one.ratio == ratio], nodes)
            row: Row = {"targets": nodes, "keep_ratio": _name(ratio), "slope": line.slope}
            row |= {"slope_deviation": deviation, "counted_slope": counted_slope(plan.widths, ratio)}
            row |= {"limiting_slope": limiting_slope(ratio), "bits_at_widest": -np.log2(line.error(plan.widths[-1]))}
            rows.append(row)
    return rows


def summary(slopes: Sequence[Row], plan: Plan) -> Row:
    """Return all slopes by name, and the bits that the largest number of targets costs at the largest width."""
    found: Row = {}
    for row in slopes:
        name = f"{row['targets']}_targets_keep_{row['keep_ratio']}"
        found |= {f"slope_{name}": row["slope"], f"slope_deviation_{name}": row["slope_deviation"]}
        found[f"predicted_slope_keep_{row['keep_ratio']}"] = row["counted_slope"]
        found[f"limiting_slope_keep_{row['keep_ratio']}"] = row["limiting_slope"]
    few, many = min(plan.node_counts), max(plan.node_counts)
    for ratio in map(_name, plan.ratios):
        bits = {row["targets"]: row["bits_at_widest"] for row in slopes if row["keep_ratio"] == ratio}
        found[f"bits_lost_by_{many}_targets_keep_{ratio}"] = float(bits[few] - bits[many])
    return found


def _name(ratio: float | None) -> str:
    return "any" if ratio is None else str(ratio)


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks.dslth", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer widths, keep ratios and seeds: half a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows, summary and machine facts as JSON")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw dslth.svg into this directory")
    return parser.parse_args(given)


if __name__ == "__main__":
    main()
