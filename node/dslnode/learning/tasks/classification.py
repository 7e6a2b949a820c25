"""Classification: one class of several per example."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from dslnode.data.dataset import DataSet, Examples
from dslnode.learning.judgement import Judgement, balanced_accuracy, judge_classes
from dslnode.learning.linear_baseline import linear_outputs
from dslnode.learning.options import DEFAULT_TRAINING, UnevenClasses
from dslnode.learning.results import Baseline
from dslnode.learning.tasks.task import CHANCE, Array, LearningTask, output_names

MAX_LINEAR_CLASSES = 1_000
"""With more classes the linear model would cost too much."""
UNEVEN = 2.0
"""Times as many training examples of one class as of another, above which classes are uneven."""


def class_prior(labels: NDArray[np.int64], class_count: int) -> NDArray[np.float32] | None:
    """Return the logarithm of each class's share of the labels (n,), float32 (classes,); None if they are even.

    One example more is counted of each, so that all are finite. Classes without an example do not make them uneven.
    """
    counts = np.bincount(labels, minlength=class_count)
    present = counts[counts > 0]
    if not len(present) or present.max() <= UNEVEN * present.min():
        return None
    prior: NDArray[np.float32] = np.log((counts + 1) / (counts.sum() + class_count)).astype(np.float32)
    return prior


class Classification(LearningTask):
    """Cross-entropy over classes; the score is accuracy, or balanced accuracy where uneven classes count alike.

    Where the node's classes are uneven, the loss has the class prior, the logarithm of each class's share, added to the
    logits (logit adjustment: Menon et al. 2021): outputs then say how well an example fits a class, however common that
    is. If these are to count alike, outputs answer as they are, and the score is the mean of the classes' recalls: the
    plain accuracy would reward a model that never answers the rare ones. By frequency, answers have the prior, too.
    """

    has_classes: ClassVar[bool] = True

    def __init__(self, data: DataSet, uneven_classes: UnevenClasses = DEFAULT_TRAINING.uneven_classes) -> None:
        super().__init__(data)
        prior = class_prior(data.train.labels, data.class_count)
        self._balanced = prior is not None and uneven_classes == "alike"
        self.metric_name = "balanced accuracy" if self._balanced else "accuracy"
        self._prior = None if prior is None else torch.from_numpy(prior)
        self._answer_prior = None if self._balanced else self._prior
        self._names = output_names(data)

    def loss(self, outputs: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:  # noqa: ARG002
        """Return the cross-entropy; with uneven classes that of the outputs and the shares of the classes."""
        return cross_entropy(_added(self._prior, outputs), targets)

    def predictions(self, outputs: Tensor, inputs: Tensor) -> Tensor:  # noqa: ARG002
        """Return the likeliest class of each example, int64 (batch,)."""
        return _added(self._answer_prior, outputs).argmax(dim=1)

    def metric(self, predictions: Array, targets: Array) -> float:
        """Return the accuracy, or the balanced accuracy, 0 to 1."""
        if self._balanced:
            return balanced_accuracy(predictions, targets)
        return int(np.count_nonzero(predictions == targets)) / max(1, len(targets))

    def judge(self, predictions: Array, targets: Array) -> Judgement:
        """Return both accuracies, each class's recall and precision, and the confusion matrix."""
        return judge_classes(predictions, targets, self._names)

    def baselines(self, train: Examples, held_out: Examples) -> tuple[Baseline, ...]:
        """Return the commonest class as every answer, and a linear model."""
        majority = np.full(len(held_out), np.bincount(train.labels).argmax())
        trivial = Baseline("majority", self.score(majority, held_out.labels), trivial=True)
        classes, counts = np.unique(train.labels, return_counts=True)
        if len(classes) > MAX_LINEAR_CLASSES:
            return (trivial,)
        each = len(train) / len(classes) / counts
        weights = each[np.searchsorted(classes, train.labels)] if self._balanced else None
        outputs = linear_outputs(train, lambda rows: train.labels[rows, None] == classes, held_out, weights)
        linear = classes[outputs.argmax(axis=1)]
        return trivial, Baseline("linear", self.score(linear, held_out.labels), trivial=False)

    def chance(self, score: float, targets: Array) -> float:  # noqa: ARG002
        """Return the loss of score that chance explains; a balanced one is as noisy as its rarest classes."""
        if not self._balanced:
            return CHANCE / math.sqrt(len(targets))
        _, counts = np.unique(targets, return_counts=True)
        return CHANCE * math.sqrt(float(np.sum(1 / counts))) / len(counts)

    def original_units(self) -> tuple[Tensor, Tensor]:
        """Return what is added to the logits that answer, (classes,) or (), and 1."""
        return torch.tensor(0.0) if self._answer_prior is None else self._answer_prior, torch.tensor(1.0)


def _added(prior: Tensor | None, outputs: Tensor) -> Tensor:
    return outputs if prior is None else outputs + prior
