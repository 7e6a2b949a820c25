"""What learning changes: the state of one node's learner."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass
class LearnerState:
    """Scores S, the moments of their gradient, the neighbour mean m, and the newest gradient dL/dS; all float32.

    ``average`` is the moving average of the scores over the last steps: the personal mask follows from it (Polyak and
    Juditsky 1992), while steps are taken from the scores themselves. Shapes: ``scores``, ``average``, ``velocity`` and
    ``squares`` (scores,), ``neighbour_mean`` and ``gradient`` (weights,). ``steps`` counts all steps ever taken.
    ``collaboration_weight``, 0 to 1, is how far the node leans on its neighbours.

    Local training changes it in place; aggregation returns a new one.
    """

    scores: Tensor
    average: Tensor
    velocity: Tensor
    squares: Tensor
    neighbour_mean: Tensor
    gradient: Tensor
    steps: int = 0
    collaboration_weight: float = 1.0

    def moved_by(self, change: Tensor) -> LearnerState:
        """Return the state with its scores, and their average, moved by what is no local step: (scores,)."""
        return replace(self, scores=self.scores + change, average=self.average + change)
