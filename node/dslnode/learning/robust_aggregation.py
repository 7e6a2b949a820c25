"""How much of each neighbour's word a node believes: pure functions against neighbours that lie.

What a neighbour pulls is shortened to a radius (ClippedGossip: He, Karimireddy and Jaggi 2022), here the median of all
neighbours' pulls, layer by layer: a loud one counts no more than an ordinary one. Then those that contradict the rest
are left out, as Krum leaves out what lies far from the rest (Blanchard et al. 2017); by direction, not distance, as
honest nodes with unlike data are far from each other, too.

The coordinate-wise trimmed mean (Yin et al. 2018) was not tried: it assumes that honest nodes agree but for noise,
while these learn from unlike data.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dslnode.learning.options import RobustAggregation

QUORUM = 4
"""Neighbours from which on there is a majority to contradict; fewer are shortened only."""
OUTLYING = 3.0
"""Spreads below the median cosine at which a neighbour contradicts the others."""
LEAST_SPREAD = 0.03
"""What the spread of cosines counts as at least: where all agree, the measured one would be too strict."""
NORMAL = 1.4826
"""By what the median absolute deviation of normal values is multiplied to estimate their standard deviation."""


def robust_weights(
    pull_of: Callable[[int], Tensor], count: int, spans: Sequence[slice], rule: RobustAggregation
) -> dict[int, tuple[float, ...]]:
    """Return by which factors, above 0 to 1, one a span, each of ``count`` pulls counts; who is left out is missing.

    ``pull_of(i)`` makes the i-th as a flat float32 vector; few exist at a time, however many neighbours there are.
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
    """Return the factor that makes each pull at most as long as their median; those of length 0 have no say in it."""
    radius = statistics.median([length for length in lengths if length] or [0.0])
    return [min(1.0, radius / length) if length else 1.0 for length in lengths]


def cosine_outliers(cosines: Sequence[float]) -> list[bool]:
    """Return whose cosine with the sum of the others lies far below the median of all cosines."""
    middle = statistics.median(cosines)
    spread = NORMAL * statistics.median(abs(cosine - middle) for cosine in cosines)
    return [cosine < middle - OUTLYING * max(spread, LEAST_SPREAD) for cosine in cosines]


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
    """Return the cosine; 1 for who pulls nowhere, and so contradicts nobody."""
    lengths = float(pull.norm() * others.norm())
    return float(torch.dot(pull, others)) / lengths if lengths else 1.0
