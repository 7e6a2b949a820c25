"""Centres and scales of numbers, one pair per column: robust ones for inputs, mean and deviation for targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LIMIT = 10.0
"""Scaled inputs are cut here: a single wild value must not outweigh all the others of its column."""
MAX_SAMPLE = 65_536
CENTRE_DIGITS, SCALE_DIGITS = 12, 6
NORMAL_QUARTILES = 1.349
"""Distance of the quartiles of a normal distribution, in standard deviations."""


@dataclass(frozen=True, kw_only=True)
class ArrayScaling:
    """How numbers of arrays were scaled: divided by ``full_scale``, then by `scaled` with a pair per feature, if any.

    ``centre`` and ``scale`` are those of the last axis, (features,) each, or empty.
    """

    full_scale: float = 1.0
    centre: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()


def robust_scale(values: NDArray[Any]) -> tuple[float, float]:
    """Return median and a standard deviation of numbers (n,) that a quarter of wild values do not change.

    Where half of the values are one and the same, the standard deviation of the middle 98 %; never 0.
    """
    values = values.astype(np.float64)
    low, lower, centre, upper, high = np.percentile(values, [1, 25, 50, 75, 99])
    scale = float(upper - lower) / NORMAL_QUARTILES
    if scale <= 0:
        scale = float(np.clip(values, low, high).std())
    if scale <= 0:
        scale = float(values.std())
    return _rounded(centre, CENTRE_DIGITS), _usable(scale)


def mean_scale(values: NDArray[Any]) -> tuple[float, float]:
    """Return mean and standard deviation of numbers (n,), never 0: for targets, where large values count."""
    values = values.astype(np.float64)
    return _rounded(values.mean(), CENTRE_DIGITS), _usable(float(values.std()))


def _usable(scale: float) -> float:
    return _rounded(scale, SCALE_DIGITS) if scale > 0 and np.isfinite(scale) else 1.0


def _rounded(number: float, digits: int) -> float:
    """Return a number as a schema has it: so short that people can read it."""
    return float(f"{number:.{digits}g}")


def feature_scales(values: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return robust centres and scales of the last axis of an array (n, ..., features): float64 (features,) each.

    Of a long array an even sample of at most ``MAX_SAMPLE`` rows is looked at.
    """
    rows = values.reshape(-1, values.shape[-1])
    sample = rows[:: -(-len(rows) // MAX_SAMPLE)]
    pairs = [robust_scale(sample[:, index]) for index in range(sample.shape[1])]
    return np.array([centre for centre, _ in pairs]), np.array([scale for _, scale in pairs])


def scaled(values: NDArray[Any], centre: Any, scale: Any) -> NDArray[np.float32]:
    """Return ``(values - centre) / scale``, cut at ``LIMIT`` either way, as float32."""
    result = (values - np.asarray(centre, dtype=np.float64)) / np.asarray(scale, dtype=np.float64)
    return np.clip(result, -LIMIT, LIMIT, out=result).astype(np.float32)
