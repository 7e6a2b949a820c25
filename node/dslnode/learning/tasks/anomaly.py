"""Anomalies: what a model of normal examples cannot reconstruct, or cannot foresee."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from dslnode.data.dataset import DataSet, Examples
from dslnode.learning.judgement import Judgement, Metric, area_under_roc, average_precision
from dslnode.learning.results import Baseline
from dslnode.learning.tasks.task import CHANCE, Array, LearningTask, finite_mean

QUANTILE = 0.99
"""Part of the node's own normal held-out examples that lies below the threshold."""


class Anomaly(LearningTask):
    """Squared error of an example's reconstruction, or of the next step where the data set has values.

    Labels, where there are any, are 0 for normal and 1 for an anomaly. No anomaly is trained on. The score is the area
    under the ROC where held-out examples are labelled, else the part of the variance that the model explains.
    """

    def __init__(self, data: DataSet) -> None:
        super().__init__(data)
        self._foresees = data.train.values is not None
        held_out = data.held_out
        self.labelled = held_out is not None and bool(held_out.labels.any()) and not bool(held_out.labels.all())
        self.metric_name = "AUROC" if self.labelled else "explained variance"
        normal = data.train.take(np.flatnonzero(data.train.labels == 0)) if data.train.labels.any() else data.train
        wanted = _wanted(normal)
        self._mean = torch.from_numpy(wanted.mean(axis=0, dtype=np.float64).astype(np.float32))
        self._variance = float(wanted.var(axis=0, dtype=np.float64).mean()) or 1.0

    def targets(self, examples: Examples) -> Array:
        """Return 0 or 1 for each example; where the next step is foreseen, followed by its values: (n, 1 + values)."""
        flags = (examples.labels > 0).astype(np.float32)[:, None]
        return flags if examples.values is None else np.hstack([flags, examples.values])

    def loss(self, outputs: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean squared error over the normal examples, in units of the variance."""
        normal = 1 - targets[:, 0]
        wanted = targets[:, 1:] if self._foresees else inputs.flatten(1)
        errors = (outputs - wanted).square().mean(dim=1) / self._variance
        return (errors * normal).sum() / normal.sum().clamp(min=1)

    def predictions(self, outputs: Tensor, inputs: Tensor) -> Tensor:
        """Return how far off each reconstruction is, float32 (batch, 1); the foreseen values where there are some."""
        if self._foresees:
            return outputs
        return (outputs - inputs.flatten(1)).square().mean(dim=1, keepdim=True)

    def metric(self, predictions: Array, targets: Array) -> float:
        """Return the area under the ROC, or the explained variance."""
        errors, anomalous = self._errors(predictions, targets)
        area = area_under_roc(errors, anomalous) if self.labelled else None
        return 1 - finite_mean(errors[~anomalous]) / self._variance if area is None else area

    def judge(self, predictions: Array, targets: Array) -> Judgement:
        """Return the threshold, how many examples exceed it, and where there are labels, how well they are told."""
        errors, anomalous = self._errors(predictions, targets)
        normal = errors[~anomalous] if not anomalous.all() else errors
        threshold = float(np.quantile(normal, QUANTILE))
        figures = {
            "explained variance": 1 - finite_mean(normal) / self._variance,
            "threshold": threshold,
            "above threshold": finite_mean(errors > threshold),
            "AUROC": area_under_roc(errors, anomalous),
            "average precision": average_precision(errors, anomalous),
            "anomalies above threshold": finite_mean(errors[anomalous] > threshold) if anomalous.any() else None,
        }
        return Judgement(tuple(Metric(name, value) for name, value in figures.items() if value is not None))

    def baselines(self, train: Examples, held_out: Examples) -> tuple[Baseline, ...]:  # noqa: ARG002
        """Return the distance from the mean of normal examples."""
        mean = self._mean.numpy()
        if self._foresees:
            predictions = np.repeat(mean[None], len(held_out), axis=0)
        else:
            predictions = np.square(_wanted(held_out) - mean).mean(axis=1, keepdims=True)
        return (Baseline("mean", self.score(predictions, self.targets(held_out)), trivial=True),)

    def chance(self, score: float, targets: Array) -> float:
        """Return the loss of score that chance explains; an area under the ROC is as noisy as its fewer kind."""
        fewer = min(float(targets[:, 0].sum()), float((1 - targets[:, 0]).sum())) if self.labelled else 0.0
        return CHANCE / math.sqrt(fewer) if fewer else CHANCE * max(0.0, 1 - score) / math.sqrt(len(targets)) / 2

    def _errors(self, predictions: Array, targets: Array) -> tuple[Array, Array]:
        """Return errors (n,) and which examples are anomalies, bool (n,)."""
        if self._foresees:
            return np.square(predictions - targets[:, 1:]).mean(axis=1), targets[:, 0] > 0
        return predictions[:, 0], targets[:, 0] > 0


def _wanted(examples: Examples) -> Array:
    return examples.images.reshape(len(examples), -1) if examples.values is None else examples.values
