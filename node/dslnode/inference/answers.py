"""What answers are called and how they are written: the same words and values on a command line and over HTTP."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain
from typing import Any, TextIO

import numpy as np

from dslnode.inference.model_header import Description
from dslnode.inference.predictor import Predictions

Answer = dict[str, Any]


def answers_of(predictions: Predictions, description: Description) -> Iterator[Answer]:
    """Yield one answer per example, as names and values."""
    names = output_names(description)
    for place in range(len(predictions)):
        if predictions.classes is not None and predictions.probabilities is not None:
            label = int(predictions.classes[place])
            yield {"class": names[label], "probability": _rounded(predictions.probabilities[place, label])}
        elif predictions.flags is not None and predictions.probabilities is not None:
            yield {name: _rounded(share) for name, share in zip(names, predictions.probabilities[place], strict=True)}
        elif predictions.errors is not None:
            flag = {} if predictions.anomalous is None else {"anomaly": bool(predictions.anomalous[place])}
            yield {**flag, "error": _rounded(predictions.errors[place])}
        elif predictions.values is not None:
            yield {name: _rounded(value) for name, value in zip(names, predictions.values[place], strict=True)}


def first_without_answer(predictions: Predictions) -> int | None:
    """Return the first example to which a model gives no finite number; None if there is none."""
    finite = np.isfinite(predictions.outputs).all(axis=1)
    if predictions.errors is not None:
        finite &= np.isfinite(predictions.errors)
    return None if finite.all() else int(finite.argmin())


def output_names(description: Description) -> list[str]:
    """Return the name of each output, or its number where names are not known."""
    return [description.target.class_name(place) for place in range(description.outputs)]


def write_csv(answers: Iterator[Answer], stream: TextIO) -> None:
    """Write answers as CSV with a header, each as it comes; nothing if there is none."""
    first = next(answers, None)
    if first is None:
        return
    writer = csv.DictWriter(stream, list(first), lineterminator="\n")
    writer.writeheader()
    for answer in chain([first], answers):
        writer.writerow(answer)
        stream.flush()


def _rounded(value: np.floating[Any]) -> float:
    return float(f"{float(value):.6g}")
