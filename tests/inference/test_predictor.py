"""Answers of personal models, without torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from dslnode.errors import ModelError
from dslnode.inference.model_header import InputScaling
from dslnode.inference.predictor import Predictor, interpret
from tests.inference.test_model_file import described, example


def test_classes_with_probabilities() -> None:
    predictor = Predictor(example())
    inputs = np.random.default_rng(1).normal(size=(2_500, 30)).astype(np.float32)
    found = predictor.predict(inputs)
    assert found.probabilities is not None
    assert found.classes is not None
    assert len(found) == 2_500
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (found.probabilities.argmax(axis=1) == found.classes).all()
    weights = example().weights()
    hidden = np.maximum(inputs @ weights["1.weight"].T, 0)
    assert ((hidden @ weights["3.weight"].T + weights["3.bias"]).argmax(axis=1) == found.classes).all()


def test_a_class_that_the_node_does_not_answer_never_wins() -> None:
    model = replace(example(), description=described(answers=(0, 2)))
    found = interpret(model, np.array([[1, 9, 2]], np.float32), np.zeros((1, 30)))
    assert found.classes is not None
    assert found.classes.tolist() == [2]


def test_numbers_come_in_their_units() -> None:
    description = described(task="regression", centre=(100.0, 0, 0), scale=(10.0, 1, 1))
    found = interpret(replace(example(), description=description), np.array([[2, 3, 4]], np.float32), np.zeros((1, 30)))
    assert found.values is not None
    assert found.values.tolist() == [[120, 3, 4]]


def test_several_labels_at_once() -> None:
    description = described(task="multilabel")
    found = interpret(
        replace(example(), description=description), np.array([[2, -3, 0]], np.float32), np.zeros((1, 30))
    )
    assert found.flags is not None
    assert found.flags.tolist() == [[True, False, False]]


@pytest.mark.parametrize(("threshold", "flags"), [(0.5, [False, True]), (None, None)])
def test_anomalies_are_what_the_model_cannot_reconstruct(threshold: float | None, flags: list[bool] | None) -> None:
    description = described(task="anomaly", outputs=30, full_scale=2.0)
    model = replace(example(), description=description, threshold=threshold)
    inputs = np.array([[2.0] * 30, [6.0] * 30])
    found = interpret(model, np.ones((2, 30), np.float32), inputs)
    assert found.errors is not None
    assert found.errors.tolist() == [0, 4]
    assert (None if found.anomalous is None else found.anomalous.tolist()) == flags


def test_arrays_come_as_they_were_measured() -> None:
    scaling = InputScaling(centre=(100.0,) * 30, scale=(20.0,) * 30)
    measured = replace(example(), description=described(input_scaling=scaling))
    seen = np.random.default_rng(1).normal(size=(5, 30))
    seen[0, :3] = 10, -10, 0
    inputs = seen * 20 + 100
    inputs[0, :3] = 10_000, -np.inf, np.nan  # cut, cut, and missing
    np.testing.assert_allclose(Predictor(measured).outputs(inputs), Predictor(example()).outputs(seen), atol=1e-5)


def test_inputs_of_another_shape_are_refused() -> None:
    with pytest.raises(ModelError, match=r"shape \(29,\) per example, and this model was made for \(30,\)"):
        Predictor(example()).predict(np.zeros((2, 29)))


def test_a_model_of_someones_own_code_says_what_it_needs() -> None:
    model = replace(example(), description=described(operations=()))
    with pytest.raises(ModelError, match="cannot run without torch and its own code"):
        Predictor(model)


@pytest.mark.process
def test_neither_torch_nor_grpc_is_loaded() -> None:
    code = (
        "import sys, dslnode.cli.predict, dslnode.cli.export, dslnode.cli.model_view, dslnode.runtime;"
        "print(sorted({'torch', 'grpc', 'google.protobuf'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
