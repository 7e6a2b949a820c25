"""Several labels at once: a flag or several per example, each set or not."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from dslnode.data.dataset import DataSet, Examples
from dslnode.errors import DataError
from dslnode.learning.judgement import Judgement, balanced_flags, judge_flags
from dslnode.learning.linear_baseline import linear_outputs
from dslnode.learning.results import Baseline
from dslnode.learning.tasks.task import CHANCE, Array, LearningTask, output_names

HALF = 0.5


class MultiLabel(LearningTask):
    """Binary cross-entropy of each flag; the score is the flags' mean balanced accuracy, 0.5 for guessing.

    A set flag weighs as many times as there are more unset ones in the node's data, and the reverse.
    """

    metric_name = "balanced accuracy"

    def __init__(self, data: DataSet) -> None:
        super().__init__(data)
        values = data.train.values
        if values is None or not np.isin(values, (0, 1)).all():
            raise DataError(f"{data.name}: several labels at once need values float32 (n, flags) of 0 and 1")
        part = np.clip(values.mean(axis=0), 1 / (2 * len(values)), 1 - 1 / (2 * len(values)))
        self._set_weight = torch.from_numpy((HALF / part).astype(np.float32))
        self._unset_weight = torch.from_numpy((HALF / (1 - part)).astype(np.float32))
        self._names = output_names(data)

    def loss(self, outputs: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:  # noqa: ARG002
        """Return the mean binary cross-entropy, set and unset flags weighing alike in all."""
        weights = torch.where(targets > HALF, self._set_weight, self._unset_weight)
        return binary_cross_entropy_with_logits(outputs, targets, weight=weights)

    def predictions(self, outputs: Tensor, inputs: Tensor) -> Tensor:  # noqa: ARG002
        """Return which flags are set, bool (batch, flags)."""
        return outputs > 0

    def metric(self, predictions: Array, targets: Array) -> float:
        """Return the mean balanced accuracy of the flags, 0 to 1."""
        return balanced_flags(predictions, targets > HALF)

    def judge(self, predictions: Array, targets: Array) -> Judgement:
        """Return recall and precision of each flag, and how often all of an example's are right."""
        return judge_flags(predictions, targets > HALF, self._names)

    def baselines(self, train: Examples, held_out: Examples) -> tuple[Baseline, ...]:
        """Return each flag as it is most often, and a linear model."""
        assert train.values is not None, "checked at the start"
        wanted = targets_of(held_out)
        values, part = train.values, train.values.mean(axis=0)
        majority = np.repeat([part > HALF], len(held_out), axis=0)
        linear = linear_outputs(train, lambda rows: values[rows], held_out) > part
        return (
            Baseline("majority", self.score(majority, wanted), trivial=True),
            Baseline("linear", self.score(linear, wanted), trivial=False),
        )

    def chance(self, score: float, targets: Array) -> float:  # noqa: ARG002
        """Return the loss of score that chance explains: that of one flag, as flags may go together."""
        part = np.clip((targets > HALF).mean(axis=0), 1 / len(targets), 1 - 1 / len(targets) + 1e-9)
        return CHANCE * math.sqrt(float(np.mean(1 / part + 1 / (1 - part + 1e-9))) / len(targets)) / 2


def targets_of(examples: Examples) -> Array:
    """Return the examples' values; a data set has them in all its parts or in none."""
    assert examples.values is not None, "checked with the data set"
    return examples.values
