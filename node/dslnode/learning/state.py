"""What training changes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class LearnerState:
    """What training changes: scores, the moments of their gradient, the neighbour mean m, the newest gradient dL/dS.

    ``average`` is that of the scores over the last steps: the personal mask follows from it (Polyak and Juditsky 1992),
    while steps are taken from the scores themselves. ``scores``, ``average``, ``velocity`` and ``squares`` have one
    entry a score, the others one a weight. ``steps`` counts all steps ever taken; ``leaning``, 0 to 1, is how far the
    node leans on its neighbours.
    """

    scores: Tensor
    average: Tensor
    velocity: Tensor
    squares: Tensor
    neighbour_mean: Tensor
    gradient: Tensor
    steps: int = 0
    leaning: float = 1.0

    def shift(self, change: Tensor) -> None:
        """Move the scores, and their average with them, by what no local step is the cause of."""
        self.scores += change
        self.average += change
