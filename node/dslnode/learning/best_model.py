"""Which round's personal model was the best on held-out data, with patience against noise, and what it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from dslnode.learning.personal_form import PersonalForm

SMOOTHING = 0.5
"""Part of the smoothed score that stays with each measurement: one lucky measurement does not decide."""


@dataclass(frozen=True, eq=False)
class KeptModel:
    """A personal model as it was after ``round`` finished rounds: its form, and what is the node's own by name."""

    round: int
    score: float
    form: PersonalForm
    local: Mapping[str, Tensor]


class BestScore:
    """Follows the measured scores: a round is the best so far if it raises the highest smoothed score."""

    def __init__(self) -> None:
        self._smoothed: float | None = None
        self._highest: float | None = None

    def add(self, score: float, *, trained: bool = True) -> bool:
        """Take in a measurement; return whether it is the best so far.

        The score of a model that has not been trained yet is to be beaten, and no part of the average: that would climb
        from there for some rounds, even while scores fall.
        """
        if not trained:
            self._highest = score if self._highest is None else max(self._highest, score)
            return self._highest == score
        self._smoothed = score if self._smoothed is None else SMOOTHING * self._smoothed + (1 - SMOOTHING) * score
        if self._highest is not None and self._smoothed <= self._highest:
            return False
        self._highest = self._smoothed
        return True
