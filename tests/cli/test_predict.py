"""A model's answers, judged by the figures by which a node judges itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dslnode.cli.predict import figures_of, predicted, said
from dslnode.errors import DataError, ModelError
from dslnode.inference.predictor import Predictor
from dslnode.inference.rows import Examples
from dslnode.learning.judgement import r_squared
from tests.inference.test_model_file import DESCRIPTION, described, example

INPUTS = np.random.default_rng(1).normal(size=(50, 30)).astype(np.float32)


def predictor(**changes: Any) -> Predictor:
    return Predictor(replace(example(), description=described(**changes)))


def test_classes_that_are_all_found() -> None:
    classes = predictor().predict(INPUTS).classes
    figures = figures_of(predictor(), [Examples(INPUTS, labels=classes)])
    assert (figures["examples"], figures["accuracy"], figures["balanced accuracy"]) == (50, 1, 1)
    assert sum(map(sum, figures["confusion"].values())) == 50


def test_several_labels_are_judged_as_flags() -> None:
    labelled = predictor(task="multilabel")
    flags = labelled.predict(INPUTS).flags
    assert flags is not None
    wrong = flags.copy()
    wrong[:25] ^= True
    figures = figures_of(labelled, [Examples(INPUTS, values=wrong.astype(np.float32))])
    assert figures["all right"] == 0.5


def test_numbers_are_judged_in_their_units_and_each_output_by_itself() -> None:
    numbers = predictor(task="regression", scale=(10.0, 1.0, 1.0))
    outputs = numbers.outputs(INPUTS)
    wanted = outputs + np.array([0.5, 0, 0], np.float32)
    figures = figures_of(numbers, [Examples(INPUTS, values=wanted)])
    assert figures["MAE"] == pytest.approx(5 / 3, rel=1e-4)
    assert figures["R2"] == pytest.approx(r_squared(outputs, wanted), rel=1e-4)


def test_anomalies_are_left_to_the_node() -> None:
    with pytest.raises(DataError, match="judged by the node itself"):
        figures_of(predictor(task="anomaly", outputs=30, operations=DESCRIPTION.operations[:1]), [])


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_an_answer_that_is_no_number_is_refused_with_its_place(task: str) -> None:
    far = INPUTS.copy()
    far[7] = np.nan
    with pytest.raises(ModelError, match="example 58: the model's outputs are no numbers"):
        list(predicted(predictor(task=task), iter([Examples(INPUTS), Examples(far)])))


def test_what_was_left_out_of_a_file_is_said_beside_the_answers(capsys: pytest.CaptureFixture[str]) -> None:
    part = Examples(INPUTS, notes=("new.csv, line 51: left out, since it is not finished",))
    assert list(said(iter([part]))) == [part]
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "new.csv, line 51: left out, since it is not finished\n")
