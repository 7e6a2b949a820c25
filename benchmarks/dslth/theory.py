"""What counting subsets predicts for the fall of the error with the width, and the line fitted to what was measured.

Among S subset sums spread over a range of r, the one nearest to a given number is about r / S away. So each candidate
more gains the bits by which log2 S - log2 r grows: towards 1 if any subset will do, towards the entropy H(k) if a
fraction k has to be kept. N targets instead of one only shift the error of the worst: N is not in the slope.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dslnode.simulation.methods.bits import entropy

FIT_FROM = 16  # candidates: with fewer, the sums of the unluckiest weight do not reach all of [-1, 1] yet


@dataclass(frozen=True)
class Line:
    """log2 of the error = ``intercept`` - ``slope`` * candidates: the slope is in bits gained a candidate."""

    slope: float
    intercept: float

    def error(self, candidates: float) -> float:
        """Return the error on the line."""
        return float(2 ** (self.intercept - self.slope * candidates))


def kept_count(candidates: int, ratio: float | None) -> int | None:
    """Return how many candidates are kept at a keep ratio; None, for any number, at None."""
    return None if ratio is None else round(ratio * candidates)


def fit(widths: Sequence[int], bits: Sequence[float]) -> Line:
    """Return the least-squares line through log2 errors, from FIT_FROM candidates on.

    Raises ValueError if less than two widths are left.
    """
    used = np.array([point for point in zip(widths, bits, strict=True) if point[0] >= FIT_FROM])
    if len(used) < 2:
        raise ValueError(f"a line needs two widths of at least {FIT_FROM} candidates")
    slope, intercept = np.polyfit(used[:, 0], used[:, 1], 1)
    return Line(-float(slope), float(intercept))


def counted_bits(candidates: int, ratio: float | None) -> float:
    """Return log2 of the subsets' number, less log2 of the standard deviation of their sums, up to a constant."""
    kept = kept_count(candidates, ratio)
    if kept is None:
        return candidates - math.log2(candidates) / 2
    return math.log2(math.comb(candidates, kept)) - math.log2(kept * (1 - kept / candidates)) / 2


def counted_slope(widths: Sequence[int], ratio: float | None) -> float:
    """Return the slope predicted for these very widths, in bits a candidate: finite-size terms are in it."""
    return fit(widths, [-counted_bits(width, ratio) for width in widths]).slope


def limiting_slope(ratio: float | None) -> float:
    """Return the slope predicted for ever growing widths, in bits a candidate."""
    return 1.0 if ratio is None else entropy(ratio)
