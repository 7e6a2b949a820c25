"""How good answers are, in figures that people know: per class, for numbers, and for anomalies. Needs numpy alone.

Where a figure has no meaning (a class without examples, a target that never varies), it is left out or None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Numbers = NDArray[np.float32] | NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Metric:
    """A figure by name; ``unit`` is empty for what is a part of one, or has no unit."""

    name: str
    value: float
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class ClassJudgement:
    """How well one class, or one flag, is found.

    ``examples`` counts the held-out ones. ``recall`` is the part of them that is answered so; ``precision`` the part
    of such answers that is right, None if there is no such answer.
    """

    name: str
    examples: int
    recall: float
    precision: float | None


@dataclass(frozen=True)
class Judgement:
    """What held-out examples say of a model: figures, and where there are classes, how each is found.

    ``confusion`` counts examples by class (rows) and answer (columns), both in the order of ``classes``.
    """

    metrics: tuple[Metric, ...]
    classes: tuple[ClassJudgement, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()

    def value(self, name: str) -> float:
        """Return the figure of this name; ``KeyError`` if there is none."""
        return {metric.name: metric.value for metric in self.metrics}[name]


def recalls(answers: Labels, labels: Labels) -> dict[int, float]:
    """Return, for each class that occurs in ``labels`` (n,), the part of its examples that is answered so."""
    return {int(label): float(np.mean(answers[labels == label] == label)) for label in np.unique(labels)}


def balanced_accuracy(answers: Labels, labels: Labels) -> float:
    """Return the mean of all classes' recalls: a class counts the same however rare it is."""
    return float(np.mean(list(recalls(answers, labels).values()))) if len(labels) else 0.0


def judge_classes(answers: Labels, labels: Labels, names: Sequence[str]) -> Judgement:
    """Return the judgement of class answers (n,) against labels (n,); ``names`` has one per class.

    Classes that are neither held out nor answered are left out.
    """
    shown = [int(label) for label in np.union1d(labels, answers)]
    counts = np.array([[int(np.sum((labels == row) & (answers == column))) for column in shown] for row in shown])
    found = recalls(answers, labels)
    classes = tuple(
        ClassJudgement(
            name=names[label],
            examples=int(counts[place].sum()),
            recall=found.get(label, 0.0),
            precision=_part(counts[place, place], counts[:, place].sum()),
        )
        for place, label in enumerate(shown)
    )
    metrics = (
        Metric("accuracy", float(np.mean(answers == labels)) if len(labels) else 0.0),
        Metric("balanced accuracy", balanced_accuracy(answers, labels)),
    )
    return Judgement(metrics, classes, tuple(tuple(map(int, row)) for row in counts))


def judge_flags(answers: Flags, flags: Flags, names: Sequence[str]) -> Judgement:
    """Return the judgement of several flags at once, both (n, flags)."""
    classes = tuple(
        ClassJudgement(
            name=name,
            examples=int(flags[:, place].sum()),
            recall=_part((answers & flags)[:, place].sum(), flags[:, place].sum()) or 0.0,
            precision=_part((answers & flags)[:, place].sum(), answers[:, place].sum()),
        )
        for place, name in enumerate(names)
    )
    metrics = (
        Metric("balanced accuracy", balanced_flags(answers, flags)),
        Metric("all right", float(np.mean((answers == flags).all(axis=1)))),
    )
    return Judgement(metrics, classes)


def balanced_flags(answers: Flags, flags: Flags) -> float:
    """Return the mean over the flags of how well set and unset ones are told apart; both (n, flags)."""
    columns = zip(answers.T, flags.T, strict=True)
    return float(np.mean([balanced_accuracy(a.astype(np.int64), f.astype(np.int64)) for a, f in columns]))


def r_squared(answers: Numbers, numbers: Numbers) -> float:
    """Return the part of the variance that answers (n, outputs) explain, as the mean over the outputs.

    1 is perfect, 0 as good as the mean. Outputs that never vary are left out; 0 if none varies.
    """
    errors = np.square(answers - numbers, dtype=np.float64).mean(axis=0)
    variances = np.square(numbers - numbers.mean(axis=0), dtype=np.float64).mean(axis=0)
    varies = variances > 0
    return float(np.mean(1 - errors[varies] / variances[varies])) if varies.any() else 0.0


def judge_numbers(answers: Numbers, numbers: Numbers, units: Sequence[str]) -> Judgement:
    """Return errors in the original units and R2 of answers (n, outputs). Errors are means over all outputs.

    ``units`` has one per output, or is empty; errors have one where all outputs share it.
    """
    unit = units[0] if len(set(units)) == 1 else ""
    errors = (answers - numbers).astype(np.float64)
    return Judgement(
        (
            Metric("R2", r_squared(answers, numbers)),
            Metric("MAE", float(np.abs(errors).mean()), unit),
            Metric("RMSE", float(np.sqrt(np.square(errors).mean())), unit),
        )
    )


def area_under_roc(suspicion: Numbers, anomalous: Flags) -> float | None:
    """Return the probability that an anomaly is more suspicious than a normal example; ties count half. Both (n,).

    None unless there are both anomalies and normal examples.
    """
    positives = int(anomalous.sum())
    negatives = len(anomalous) - positives
    if not positives or not negatives:
        return None
    _, inverse, counts = np.unique(suspicion, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[inverse]
    return float((ranks[anomalous].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(suspicion: Numbers, anomalous: Flags) -> float | None:
    """Return the mean of the precision at each anomaly, most suspicious first, ties taken together. Both (n,).

    None if there is no anomaly.
    """
    if not anomalous.any():
        return None
    values, inverse = np.unique(-suspicion, return_inverse=True)
    found = np.bincount(inverse, weights=anomalous, minlength=len(values))
    examples = np.cumsum(np.bincount(inverse, minlength=len(values)))
    return float(np.sum(np.cumsum(found) / examples * found) / anomalous.sum())


def _part(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None
