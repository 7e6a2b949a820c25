"""Which of n numbers to add up to come nearest to a wanted number: exact, by meeting in the middle.

Every subset is a subset of the first half of the numbers and one of the second. The 2^(n/2) sums of each half are
listed once; what is missing after each sum of the first half is looked up among the sorted sums of the second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Choices = NDArray[np.bool_]

SUMS_AT_ONCE = 1 << 20  # bounds the memory of a search to some tens of MB


@dataclass(frozen=True)
class Half:
    """Subsets of one half of the candidates, by ascending sum: ``sums`` [subsets], ``choices`` [subsets, half]."""

    sums: Numbers
    choices: Choices


def nearest_subsets(candidates: Numbers, wanted: Numbers, kept: int | None) -> Choices:
    """Return for each wanted number [count] the subset of the candidates [n] with the nearest sum, [count, n].

    ``kept`` is the exact size of the subsets; None allows all. Raises ValueError if ``kept`` is not in 0..n.
    """
    chosen = np.zeros((len(wanted), len(candidates)), np.bool_)
    errors = np.full(len(wanted), np.inf)
    for left, right in _halves(candidates, kept):
        step = max(1, SUMS_AT_ONCE // len(left.sums))
        for start in range(0, len(wanted), step):
            rows = slice(start, start + step)
            i, j, found = _nearest_pairs(left.sums, right.sums, wanted[rows])
            better = found < errors[rows]
            pairs = np.concatenate([left.choices[i], right.choices[j]], axis=1)
            chosen[rows] = np.where(better[:, None], pairs, chosen[rows])
            errors[rows] = np.minimum(found, errors[rows])
    return chosen


def worst_distance(candidates: Numbers, kept: int | None, limit: float = 1.0) -> float:
    """Return how far the number in [-limit, limit] that is worst served is from its nearest subset sum.

    Lists every subset sum: for about 20 candidates at most. Raises ValueError if ``kept`` is not in 0..n.
    """
    outer = [np.add.outer(left.sums, right.sums).ravel() for left, right in _halves(candidates, kept)]
    sums = np.sort(np.concatenate(outer))
    centres, half_gaps = (sums[1:] + sums[:-1]) / 2, (sums[1:] - sums[:-1]) / 2
    within = half_gaps[np.abs(centres) <= limit]
    ends = [float(np.abs(sums - end).min()) for end in (-limit, limit)]
    return max(*ends, float(within.max(initial=0)))


def _halves(candidates: Numbers, kept: int | None) -> Iterator[tuple[Half, Half]]:
    """Yield pairs of halves whose combinations are all subsets asked for, each once."""
    if kept is not None and not 0 <= kept <= len(candidates):
        raise ValueError(f"{kept} of {len(candidates)} candidates cannot be kept")
    middle = len(candidates) // 2
    first, second = _by_sum(candidates[:middle]), _by_sum(candidates[middle:])
    if kept is None:
        yield first, second
        return
    for size in range(max(0, kept - (len(candidates) - middle)), min(kept, middle) + 1):
        yield _of_size(first, size), _of_size(second, kept - size)


def _by_sum(numbers: Numbers) -> Half:
    bits = np.arange(1 << len(numbers))[:, None] >> np.arange(len(numbers)) & 1
    sums = bits @ numbers
    order = np.argsort(sums)
    return Half(sums[order], bits[order].astype(np.bool_))


def _of_size(half: Half, size: int) -> Half:
    right_size = half.choices.sum(axis=1) == size
    return Half(half.sums[right_size], half.choices[right_size])


def _nearest_pairs(
    left: Numbers, right: Numbers, wanted: Numbers
) -> tuple[NDArray[np.intp], NDArray[np.intp], Numbers]:
    """Return for each wanted number the positions of the best two sums, ``right`` being sorted, and their error."""
    missing = wanted[:, None] - left
    boundaries = (right[1:] + right[:-1]) / 2  # between two of them the sum that lies there is the nearest
    partners = np.searchsorted(boundaries, missing)
    errors = np.abs(missing - right[partners])
    best = errors.argmin(axis=1)
    rows = np.arange(len(wanted))
    return best, partners[rows, best], errors[rows, best]
