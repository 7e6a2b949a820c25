"""How far a node leans on its neighbours, by what aggregation did to its personal model on held-out data.

The collaboration weight scales both ways in which neighbours count: the consensus step towards their scores, and the
aggregation strength alpha. It falls and rises by factors, so that one unlucky measurement does not decide, and a node
whose neighbours help later than its own data do comes back to them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

DECREASE = 0.7
INCREASE = 1.5
MIN_WEIGHT = 0.1
"""Even a node whose neighbours seem of no use takes in a little, or it could never find out otherwise."""
CHANCE = 0.32
"""``CHANCE / sqrt(held-out examples)`` is the loss of accuracy that chance explains: 0.02 for 256 examples, 0.1 for
ten. A smaller margin costs more than it saves where neighbours do help."""


@dataclass(frozen=True)
class Verdict:
    """Whether an aggregation is accepted, and the collaboration weight, 0 to 1, from then on."""

    accepted: bool
    weight: float


def accept_if_not_worse(before: float, after: float, *, examples: int, weight: float) -> Verdict:
    """Judge an aggregation by the personal model's accuracy, 0 to 1, before and after it, on so many examples.

    ``weight`` is the collaboration weight so far.
    """
    if after < before - CHANCE / math.sqrt(examples):
        return Verdict(accepted=False, weight=max(MIN_WEIGHT, weight * DECREASE))
    return Verdict(accepted=True, weight=min(1.0, weight * INCREASE))
