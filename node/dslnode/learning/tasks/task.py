"""The interface of a task: what is compared with a model's outputs, by which loss, and how good that is."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dslnode.data.dataset import DataSet, Examples
from dslnode.learning.judgement import Judgement, Metric
from dslnode.learning.results import Baseline

Array = NDArray[Any]
CHANCE = 0.32
"""``CHANCE / sqrt(held-out examples)`` is the loss of accuracy that chance explains: 0.02 for 256 examples, 0.1 for
ten. A smaller margin costs more than it saves where neighbours do help."""


class LearningTask(ABC):
    """What a model is to learn from one node's data. A user's ``module:Task`` derives from it.

    It is built from the node's own ``DataSet``. ``metric_name`` names the figure by which the node judges itself.
    The held-out score, which is all that the daemon knows, is that figure, or its negative where less is better.
    """

    metric_name: str = "score"
    higher_is_better: ClassVar[bool] = True
    has_classes: ClassVar[bool] = False
    """Whether outputs are logits of classes, of which a node answers those of its own data only."""

    def __init__(self, data: DataSet) -> None:  # noqa: B027 (a task may need nothing of the data)
        """Take from the data what loss and metric need; ``DataError`` if they do not suit the task."""

    @abstractmethod
    def loss(self, outputs: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss () of outputs (batch, outputs), to be minimised."""

    @abstractmethod
    def metric(self, predictions: Array, targets: Array) -> float:
        """Return the figure that the node judges itself by, of all held-out examples at once."""

    def targets(self, examples: Examples) -> Array:
        """Return what outputs are compared with, one row per example: by default labels (n,) or values (n, outputs)."""
        return examples.targets

    def predictions(self, outputs: Tensor, inputs: Tensor) -> Tensor:  # noqa: ARG002 (some need them)
        """Return what outputs (batch, outputs) say, one row per example: by default the outputs themselves."""
        return outputs

    def judge(self, predictions: Array, targets: Array) -> Judgement:
        """Return all figures about the predictions of the held-out examples; by default the metric alone."""
        return Judgement((Metric(self.metric_name, self.metric(predictions, targets)),))

    def baselines(self, train: Examples, held_out: Examples) -> tuple[Baseline, ...]:  # noqa: ARG002
        """Return simple predictors, made from the training examples, with their scores on the held-out ones."""
        return ()

    def chance(self, score: float, targets: Array) -> float:  # noqa: ARG002
        """Return the loss of score that chance explains where it is measured on these targets."""
        return CHANCE / math.sqrt(len(targets))

    def original_units(self) -> tuple[Tensor, Tensor]:
        """Return centre and scale, each (outputs,) or (): an answer for people is ``centre + scale * output``.

        Of classes, such an answer is a logit.
        """
        return torch.tensor(0.0), torch.tensor(1.0)

    @property
    def score_name(self) -> str:
        """What the held-out score is called."""
        return self.metric_name if self.higher_is_better else f"negative {self.metric_name}"

    def score(self, predictions: Array, targets: Array) -> float:
        """Return the held-out score: higher is better."""
        value = self.metric(predictions, targets)
        return value if self.higher_is_better else -value


def output_names(data: DataSet) -> tuple[str, ...]:
    """Return a name for each output of the data set's models, or for each class: its number where it has none."""
    return tuple(data.target.class_name(place) for place in range(data.output_count))


def finite_mean(values: Array) -> float:
    """Return the mean, 0 of nothing."""
    return float(np.mean(values)) if values.size else 0.0
