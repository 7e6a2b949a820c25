"""What learning changes: the state of one node's learner."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from dslnode.learning.group_sparsity import ChannelScales


@dataclass
class LearnerState:
    """Scores S, the moments of their gradient, the neighbour mean m, and the newest gradient dL/dS; all float32.

    ``average`` is the moving average of the scores over the last steps: the personal mask follows from it (Polyak and
    Juditsky 1992), while steps are taken from the scores themselves. Shapes: ``scores``, ``average``, ``velocity`` and
    ``squares`` (scores,), ``neighbour_mean`` and ``gradient`` (weights,). ``steps`` counts all steps ever taken.
    ``first_moments`` and ``second_moments`` are Adam's, of what is not masked, by parameter name.
    ``peaks`` are the largest root mean squares of gradients so far, by the name of a masked layer (at its scores) or of
    a parameter that is not masked. ``collaboration_weight``, 0 to 1, is how far the node leans on its neighbours.
    ``channels`` are the scales that the group lasso shrinks; without it they stay at one.

    Local training changes it in place; aggregation returns a new one.
    """

    scores: Tensor
    average: Tensor
    velocity: Tensor
    squares: Tensor
    neighbour_mean: Tensor
    gradient: Tensor
    channels: ChannelScales
    steps: int = 0
    first_moments: dict[str, Tensor] = field(default_factory=dict)
    second_moments: dict[str, Tensor] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)
    collaboration_weight: float = 1.0

    def local_moments(self, name: str, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return Adam's two moments of a parameter that is not masked, to be changed in place; zeros at first."""
        for moments in (self.first_moments, self.second_moments):
            if name not in moments:
                moments[name] = torch.zeros_like(like)
        return self.first_moments[name], self.second_moments[name]

    def moved_by(self, change: Tensor) -> LearnerState:
        """Return the state with its scores, and their average, moved by what is no local step: (scores,)."""
        return replace(self, scores=self.scores + change, average=self.average + change)
