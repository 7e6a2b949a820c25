"""Curves of many seeds as one, and what it took to get to a height."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

Point = tuple[float, float]


def mean_curve(curves: Sequence[list[dict[str, Any]]], across: str, along: str) -> list[Point]:
    """Return the mean curve over seeds, point by point; points without the value asked for are left out."""
    points = []
    for together in zip(*curves, strict=True):
        if all(point[along] is not None for point in together):
            xs, ys = ([float(point[name]) for point in together] for name in (across, along))
            points.append((statistics.mean(xs), statistics.mean(ys)))
    return points


def first_at(points: Sequence[Point], height: float) -> float | None:
    """Return how far along a curve is when it first comes to a height; None if it never does."""
    return next((across for across, along in points if along >= height), None)
