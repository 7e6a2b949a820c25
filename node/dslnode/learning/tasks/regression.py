"""Regression and forecast: one number or several per example; of a forecast, steps ahead."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from dslnode.data.dataset import DataSet, Examples
from dslnode.errors import DataError
from dslnode.learning.judgement import Judgement, judge_numbers, r_squared
from dslnode.learning.linear_baseline import linear_outputs
from dslnode.learning.results import Baseline
from dslnode.learning.tasks.task import CHANCE, Array, LearningTask

HALF = 0.5


class Regression(LearningTask):
    """Squared error of standardised numbers; the score is R2: 1 is perfect, 0 as good as the mean.

    A target that has no scale of its own is standardised by the node's own training examples.
    """

    metric_name = "R2"

    def __init__(self, data: DataSet) -> None:
        super().__init__(data)
        values = data.train.values
        if values is None:
            raise DataError(f"{data.name}: {data.target.task} needs values float32 (n, outputs); it has labels only")
        if not np.isfinite(values).all():
            raise DataError(f"{data.name}: a value is not a finite number; remove or fill such examples")
        self._units = data.target.units
        self._centre, self._scale = _standard(values) if not data.target.scale else _identity(values)
        outer = np.array(data.target.scale or 1, np.float64)
        self._unit_centre = np.array(data.target.centre or 0, np.float64) + outer * self._centre
        self._unit_scale = outer * self._scale

    def targets(self, examples: Examples) -> Array:
        """Return the numbers in the scale of the model's outputs, float32 (n, outputs)."""
        assert examples.values is not None, "a data set has values in all its parts or in none"
        return ((examples.values - self._centre) / self._scale).astype(np.float32)

    def loss(self, outputs: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:  # noqa: ARG002
        """Return the mean squared error."""
        return mse_loss(outputs, targets)

    def metric(self, predictions: Array, targets: Array) -> float:
        """Return R2, at most 1."""
        return r_squared(predictions, targets)

    def judge(self, predictions: Array, targets: Array) -> Judgement:
        """Return R2, and the errors in the original units."""
        return judge_numbers(self._in_units(predictions), self._in_units(targets), self._units)

    def baselines(self, train: Examples, held_out: Examples) -> tuple[Baseline, ...]:
        """Return the mean of the training examples as every answer, and a linear model."""
        wanted = self.targets(train)
        mean = np.repeat(wanted.mean(axis=0, keepdims=True), len(held_out), axis=0)
        linear = linear_outputs(train, lambda rows: wanted[rows], held_out)
        return (
            Baseline("mean", self.score(mean, self.targets(held_out)), trivial=True),
            Baseline("linear", self.score(linear, self.targets(held_out)), trivial=False),
        )

    def chance(self, score: float, targets: Array) -> float:
        """Return the loss of score that chance explains: it is the larger the more is unexplained.

        Answers before and after an aggregation err alike, so their scores differ by less than each is noisy.
        """
        return HALF * CHANCE * max(0.0, 1 - score) / math.sqrt(len(targets))

    def original_units(self) -> tuple[Tensor, Tensor]:
        """Return centre and scale of the original units."""
        return torch.from_numpy(self._unit_centre).float(), torch.from_numpy(self._unit_scale).float()

    def _in_units(self, numbers: Array) -> Array:
        found: Array = self._unit_centre + self._unit_scale * numbers
        return found


class Forecast(Regression):
    """Regression of the next steps of a series; the last known value is one more predictor to beat."""

    def __init__(self, data: DataSet) -> None:
        super().__init__(data)
        self._last_values = data.target.last_values

    def baselines(self, train: Examples, held_out: Examples) -> tuple[Baseline, ...]:
        """Return also the last known value as every step, where the data set says which input that is."""
        others = super().baselines(train, held_out)
        if not self._last_values:
            return others
        known = held_out.stored.reshape(len(held_out), -1)[:, list(self._last_values)] / held_out.full_scale
        last = ((known - self._centre) / self._scale).astype(np.float32)
        return (Baseline("last value", self.score(last, self.targets(held_out)), trivial=True), *others)


def _standard(values: Array) -> tuple[Array, Array]:
    spread = values.std(axis=0, dtype=np.float64)
    return values.mean(axis=0, dtype=np.float64), np.where(spread > 0, spread, 1.0)


def _identity(values: Array) -> tuple[Array, Array]:
    return np.zeros(values.shape[1]), np.ones(values.shape[1])
