"""The experiment: masks for many targets over networks of growing width, and the error of the worst target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.dslth.subset_sums import Numbers
from benchmarks.dslth.theory import Line, fit, kept_count
from benchmarks.dslth.tickets import Shape, draw_network, draw_targets, error_bound, find_masks, grid, output_errors

SHAPE = Shape()
POINTS_AN_AXIS = 21  # of the grid of inputs on which errors are measured
MOST_LISTED = 20  # candidates of which all subset sums still fit into memory, for the bound


@dataclass(frozen=True)
class Plan:
    """What is measured: widths (candidates a weight, ascending), keep ratios (None: any), node counts and seeds.

    Every seed draws as many targets as the largest node count; smaller counts cut them into sets.
    """

    widths: tuple[int, ...]
    ratios: tuple[float | None, ...]
    node_counts: tuple[int, ...]
    seeds: tuple[int, ...]


QUICK = Plan((8, 12, 16, 18, 20), (None, 0.3), (1, 20, 500), (1, 2, 3))
FULL = Plan(tuple(range(8, 27, 2)), (None, 0.5, 0.3, 0.2), (1, 20, 500), tuple(range(1, 10)))


@dataclass(frozen=True)
class Measurement:
    """One width at one keep ratio: output errors [seeds, targets], and for each seed what no target can exceed."""

    candidates: int
    ratio: float | None
    errors: Numbers
    bounds: Numbers | None


def measure(candidates: int, ratio: float | None, plan: Plan) -> Measurement:
    """Return the errors of every seed's targets; the bounds are None above MOST_LISTED candidates."""
    kept = kept_count(candidates, ratio)
    points = grid(SHAPE.inputs, POINTS_AN_AXIS)
    errors, bounds = [], []
    for seed in plan.seeds:
        targets = draw_targets(SHAPE, max(plan.node_counts), seed)
        network = draw_network(SHAPE, candidates, seed)
        masks = find_masks(network, targets, kept)
        errors.append(output_errors(network, masks, targets, points))
        if candidates <= MOST_LISTED:
            bounds.append(error_bound(network, kept))
    return Measurement(candidates, ratio, np.array(errors), np.array(bounds) if bounds else None)


def worst_errors(errors: Numbers, nodes: int) -> Numbers:
    """Return the error of the worst of each ``nodes`` targets in a row, [seeds, targets / nodes]."""
    worst: Numbers = errors.reshape(len(errors), -1, nodes).max(axis=2)
    return worst


def falls(measurements: list[Measurement], nodes: int) -> tuple[Line, float]:
    """Return the line through log2 of the median worst error, and the standard deviation of its slope over seeds."""
    widths = [measurement.candidates for measurement in measurements]
    worst = [np.log2(worst_errors(measurement.errors, nodes)) for measurement in measurements]
    slopes = [
        fit(widths, [float(np.median(of_width[seed])) for of_width in worst]).slope for seed in range(len(worst[0]))
    ]
    return fit(widths, [float(np.median(of_width)) for of_width in worst]), float(np.std(slopes, ddof=1))
