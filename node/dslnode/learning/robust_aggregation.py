"""How much each neighbour counts, against neighbours that lie: pure functions.

A *pull* is a neighbour's contribution, a flat float32 vector. It is shortened to a radius (ClippedGossip: He,
Karimireddy and Jaggi 2022), here the median length of all pulls, layer by layer: a long pull counts no more than an
ordinary one. Then pulls that point away from the rest are left out, as Krum leaves out what lies far from the rest
(Blanchard et al. 2017). Direction decides, not distance: honest nodes with unlike data are far from each other, too.

The coordinate-wise trimmed mean (Yin et al. 2018) was not tried. It assumes that honest nodes agree but for noise,
while these learn from unlike data.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dslnode.learning.options import RobustAggregation

QUORUM = 4
"""Least number of neighbours of which some can be outliers; of fewer, pulls are shortened only."""
OUTLIER_SPREADS = 3.0
"""Spreads below the median cosine at which a pull is an outlier."""
MIN_SPREAD = 0.03
"""Least spread of the cosines: where all agree, the measured one would be too strict."""
MAD_TO_DEVIATION = 1.4826
"""Standard deviation of normal values over their median absolute deviation."""


def robust_weights(
    pull_of: Callable[[int], Tensor], count: int, spans: Sequence[slice], rule: RobustAggregation
) -> dict[int, tuple[float, ...]]:
    """Return the factors, above 0 to 1, one per span, of each of ``count`` pulls; pulls left out are missing.

    ``pull_of(i)`` makes the i-th pull. Few exist at a time, however many neighbours there are.
    """
    if rule is RobustAggregation.OFF or not count:
        return dict.fromkeys(range(count), (1.0,) * len(spans))
    lengths = [[float(pull[span].norm()) for span in spans] for pull in map(pull_of, range(count))]
    factors = list(zip(*map(clip_factors, zip(*lengths, strict=True)), strict=True))
    if count < QUORUM:
        return dict(enumerate(factors))
    left_out = cosine_outliers(_cosines(lambda i: scaled(pull_of(i), factors[i], spans), count))
    return {i: factors[i] for i in range(count) if not left_out[i]}


def clip_factors(lengths: Sequence[float]) -> list[float]:
    """Return the factor that makes each pull at most as long as their median; lengths of 0 do not count for it."""
    radius = statistics.median([length for length in lengths if length] or [0.0])
    return [min(1.0, radius / length) if length else 1.0 for length in lengths]


def cosine_outliers(cosines: Sequence[float]) -> list[bool]:
    """Return, for each pull, whether its cosine with the sum of the others lies far below the median cosine."""
    middle = statistics.median(cosines)
    spread = MAD_TO_DEVIATION * statistics.median(abs(cosine - middle) for cosine in cosines)
    return [cosine < middle - OUTLIER_SPREADS * max(spread, MIN_SPREAD) for cosine in cosines]


def scaled(pull: Tensor, factors: Sequence[float], spans: Sequence[slice]) -> Tensor:
    """Multiply each span of a pull by its factor, in place; return the pull."""
    for span, factor in zip(spans, factors, strict=True):
        pull[span] *= factor
    return pull


def _cosines(pull_of: Callable[[int], Tensor], count: int) -> list[float]:
    total = pull_of(0).clone()
    for i in range(1, count):
        total += pull_of(i)
    return [_cosine(pull, total - pull) for pull in map(pull_of, range(count))]


def _cosine(pull: Tensor, others: Tensor) -> float:
    """Return the cosine; 1 for a pull of length 0, which is no outlier."""
    lengths = float(pull.norm() * others.norm())
    return float(torch.dot(pull, others)) / lengths if lengths else 1.0
