"""Whom to follow more: neighbours whose scores lie where this node's own loss falls, by pure functions.

A node's gradient says for free how its loss changes along a pull, to first order. Differences between neighbours are
what matters: pulls of all are nearly at right angles to the gradient, since they hold much that a node's few examples
say nothing about.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def descent_weights(gradient: Tensor, pull_of: Callable[[int], Tensor], count: int) -> list[float]:
    """Return how much each of ``count`` pulls counts, with a mean of 1: the more, the further it points downhill.

    ``pull_of(i)`` makes the i-th pull; it and the ``gradient`` of the loss are (scores,). Few pulls exist at a time.
    """
    return relative_weights([_descent(gradient, pull_of(i)) for i in range(count)])


def relative_weights(descents: Sequence[float]) -> list[float]:
    """Return the softmax, times their number, of how many deviations each value lies above the mean of all."""
    if len(descents) < 2:
        return [1.0] * len(descents)
    mean, deviation = statistics.mean(descents), statistics.stdev(descents)
    if not deviation:
        return [1.0] * len(descents)
    powers = [math.exp((descent - mean) / deviation) for descent in descents]
    return [power * len(powers) / sum(powers) for power in powers]


def _descent(gradient: Tensor, pull: Tensor) -> float:
    """Return the cosine of the pull with the way downhill; 0 where one of both is."""
    lengths = float(gradient.norm() * pull.norm())
    return -float(torch.dot(gradient, pull)) / lengths if lengths else 0.0
