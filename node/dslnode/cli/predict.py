"""Answers to rows, images or windows with a personal model, and judges them: ``dslnode predict``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from dslnode.cli.formats import AnswerFormat
from dslnode.data.target import Task
from dslnode.errors import DataError, ModelError, SettingsError
from dslnode.inference.answers import answers_of, first_without_answer, output_names, write_csv
from dslnode.inference.predictor import Predictions, Predictor, load_model
from dslnode.inference.rows import Examples, read_examples
from dslnode.learning.judgement import Judgement, judge_classes, judge_flags, judge_numbers

STANDARD_INPUT = "-"


def predict(model: Path, *, data: str, form: AnswerFormat, score: bool) -> None:
    """Print the answers to all examples, or judge the model by them. Raises a ``DslnodeError``."""
    predictor = load_model(model)
    if data == STANDARD_INPUT:
        if score:
            raise SettingsError("--data - --score: rows that come one by one are not judged; give a file")
        from dslnode.inference.row_stream import stream_rows  # with what reads tables

        parts = stream_rows(sys.stdin, predictor.description)
    else:
        parts = read_examples(data, predictor.description, with_targets=score)
    parts = said(parts)
    if score:
        judge(predictor, list(parts), as_json=form is AnswerFormat.JSON)
        return
    answers = (
        answer
        for predictions in predicted(predictor, parts)
        for answer in answers_of(predictions, predictor.description)
    )
    write(answers, form)


def predicted(predictor: Predictor, parts: Iterable[Examples]) -> Iterator[Predictions]:
    """Yield the answers to each part. ``ModelError`` that names the example to which the model gives no number."""
    before = 0
    for part in parts:
        with np.errstate(all="ignore"):  # infinities are looked for, and refused
            predictions = predictor.predict(part.inputs)
        place = first_without_answer(predictions)
        if place is not None:
            raise ModelError(
                f"example {before + place + 1}: the model's outputs are no numbers; the example is too far from what it"
                " was trained on, or the model from what float32 holds"
            )
        before += len(predictions)
        yield predictions


def said(parts: Iterator[Examples]) -> Iterator[Examples]:
    """Pass examples on, and print what was found out about their file to standard error."""
    for part in parts:
        for note in part.notes:
            print(note, file=sys.stderr)
        yield part


def write(answers: Iterator[dict[str, Any]], form: AnswerFormat) -> None:
    """Print answers one by one, as they come."""
    if form is AnswerFormat.JSON:
        for answer in answers:
            print(json.dumps(answer, ensure_ascii=False), flush=True)
        return
    if form is AnswerFormat.CSV:
        write_csv(answers, sys.stdout)
        return
    first = next(answers, None)
    if first is None:
        return
    print("  ".join(f"{name:<16}" for name in first).rstrip(), flush=True)
    for answer in chain([first], answers):
        print("  ".join(f"{value!s:<16}" for value in answer.values()).rstrip(), flush=True)


def judge(predictor: Predictor, parts: list[Examples], *, as_json: bool) -> None:
    """Print how good the answers are."""
    figures = figures_of(predictor, parts)
    if as_json:
        print(json.dumps(figures, ensure_ascii=False))
        return
    for name, value in figures.items():
        if isinstance(value, dict):
            print(name)
            for row, counts in value.items():
                print(f"  {row:<16} {'  '.join(f'{count:>6}' for count in counts)}")
        else:
            print(f"{name}: {value:.4f}" if isinstance(value, float) else f"{name}: {value}")


def figures_of(predictor: Predictor, parts: list[Examples]) -> dict[str, Any]:
    """Return the figures that fit the task. ``DataError`` where there is nothing to judge by."""
    description = predictor.description
    names = output_names(description)
    answers = list(predicted(predictor, parts))
    count = {"examples": sum(map(len, answers))}
    if description.task == Task.CLASSIFICATION:
        found = np.concatenate([each.classes for each in answers if each.classes is not None])
        labels = np.concatenate([part.labels for part in parts if part.labels is not None])
        return {**count, **_named(judge_classes(found, labels, names)), "confusion": _confusion(found, labels, names)}
    values = [part.values for part in parts if part.values is not None]
    if description.task == Task.ANOMALY or not values:
        raise DataError(f"a model for {description.task} is judged by the node itself; see dslnode status")
    wanted = np.concatenate(values)
    if description.task == Task.MULTILABEL:
        flags = np.concatenate([each.flags for each in answers if each.flags is not None])
        return {**count, **_named(judge_flags(flags, wanted > 0, names))}
    outputs, scale = np.concatenate([each.outputs for each in answers]), np.asarray(description.scale or (1.0,))
    return {**count, **_named(judge_numbers(outputs * scale, wanted * scale, description.units))}


def _named(judgement: Judgement) -> dict[str, float]:
    return {metric.name: metric.value for metric in judgement.metrics}


def _confusion(found: np.ndarray, labels: np.ndarray, names: list[str]) -> dict[str, list[int]]:
    """Return how often each class that occurs was taken for each class."""
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (labels, found), 1)
    return {name: counts.tolist() for name, counts in zip(names, confusion, strict=True) if counts.any()}
