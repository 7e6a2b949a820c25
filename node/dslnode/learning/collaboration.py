"""How far a node leans on its neighbours, by what aggregation did to its personal model on held-out data.

The collaboration weight scales both ways in which neighbours count: the consensus step towards their scores, and the
aggregation strength alpha. It falls and rises by factors, so that one unlucky measurement does not decide, and a node
whose neighbours help later than its own data do comes back to them.
"""

from __future__ import annotations

from dataclasses import dataclass

DECREASE = 0.7
INCREASE = 1.5
MIN_WEIGHT = 0.1
"""Even a node whose neighbours seem of no use takes in a little, or it could never find out otherwise."""


@dataclass(frozen=True)
class Verdict:
    """Whether an aggregation is accepted, and the collaboration weight, 0 to 1, from then on."""

    accepted: bool
    weight: float


def accept_if_not_worse(before: float, after: float, *, chance: float, weight: float) -> Verdict:
    """Judge an aggregation by the personal model's score, higher is better, before and after it.

    ``chance`` is the loss of score that chance explains, ``weight`` the collaboration weight so far.
    """
    if after < before - chance:
        return Verdict(accepted=False, weight=max(MIN_WEIGHT, weight * DECREASE))
    return Verdict(accepted=True, weight=min(1.0, weight * INCREASE))
