"""A learner's model in its file answers as the learner itself does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dslnode.data.dataset import DataSet, Examples, load_data_set
from dslnode.data.partition import partition
from dslnode.data.target import Target, Task
from dslnode.inference.export_check import ties
from dslnode.inference.model_file import pack, unpack
from dslnode.inference.predictor import Predictor
from dslnode.inference.rows import read_examples
from dslnode.learning.learner import Learner
from dslnode.learning.model_description import describe_model, personal_model
from dslnode.learning.options import Personal, TrainingOptions


def series(task: Task) -> DataSet:
    draws = np.random.default_rng(1)
    inputs = draws.normal(size=(60, 12, 3)).astype(np.float32)
    values = inputs.mean(axis=1)[:, :2] if task is Task.REGRESSION else None
    labels = np.zeros(60, np.int64) if values is not None else (inputs[:, :, 0].mean(axis=1) > 0).astype(np.int64)
    target = (
        Target(task=task, names=("a", "b"), centre=(5.0, 1.0), scale=(2.0, 3.0)) if values is not None else Target()
    )
    examples = Examples(inputs, labels, values=values)
    held_out = examples.take(np.arange(20))
    return DataSet(examples, held_out, 2 if values is None else 1, "series", target)


@pytest.mark.parametrize(
    ("model", "data"),
    [
        ("mlp", load_data_set("digits")),
        ("cnn1d", series(Task.CLASSIFICATION)),
        ("gru", series(Task.REGRESSION)),
        ("autoencoder", DataSet(series(Task.CLASSIFICATION).train, None, 2, "any", Target(task=Task.ANOMALY))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_file_answers_as_torch_does(model: str, data: DataSet) -> None:
    part = partition(data, seed=1) if data.held_out is None else data
    learner = Learner(model, part, seed=3)
    for _ in range(2):
        learner.train_round()
        learner.aggregate([])
        score = learner.score()
        if score is not None:
            learner.keep_if_best(score)
    file = unpack(pack(personal_model(learner, describe_model(learner, model=model))))
    predictor = Predictor(file)
    examples = part.train
    found = predictor.outputs(examples.stored)
    exported = learner.export()
    with torch.no_grad():
        expected = exported.model(torch.from_numpy(examples.images)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert ((found.argmax(axis=1) == expected.argmax(axis=1)) | ties(expected)).all()


def numbers(task: Task) -> DataSet:
    """Return numbers in their own units, or the next two steps of a series, without a scale in the target."""
    draws = np.random.default_rng(1)
    inputs = draws.normal(size=(90, 8, 2)).astype(np.float32)
    values = 300 + 40 * inputs[:, -1:, 0] if task is Task.REGRESSION else np.repeat(inputs[:, -1:, 1], 2, axis=1)
    target = Target(task=task, last_values=() if task is Task.REGRESSION else (15, 15))
    examples = Examples(inputs, np.zeros(90, np.int64), values=values.astype(np.float32))
    return DataSet(examples, examples.take(np.arange(30)), 1, "made", target)


@pytest.mark.parametrize("task", [Task.REGRESSION, Task.FORECAST])
def test_numbers_are_answered_in_the_units_of_the_data(task: Task) -> None:
    data = numbers(task)
    learner = Learner("auto", data, seed=3)
    for _ in range(4):
        learner.train_round()
    file = unpack(pack(personal_model(learner, describe_model(learner, model="auto"), best=False)))
    found = Predictor(file).predict(data.train.stored).values
    assert found is not None
    with torch.no_grad():
        expected = learner.export()(torch.from_numpy(data.train.images)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    assert data.train.values is not None
    assert np.abs(found - data.train.values).mean() < 0.3 * data.train.values.std()


@pytest.mark.parametrize(
    ("shape", "options"), [((12,), ""), ((8, 3), ""), ((1, 6, 6), "?axes=image")], ids=["features", "series", "images"]
)
def test_arrays_are_answered_as_they_were_measured(shape: tuple[int, ...], options: str, tmp_path: Path) -> None:
    draws = np.random.default_rng(1)
    labels = draws.integers(0, 2, 120)
    values = draws.normal(300, 40, (120, *shape)) + 30 * labels.reshape(-1, *(1 for _ in shape))
    np.savez(tmp_path / "a.npz", x_train=values[:90], y_train=labels[:90], x_test=values[90:], y_test=labels[90:])
    data = load_data_set(f"npz:{tmp_path / 'a.npz'}{options}")
    learner = Learner("mlp", data, seed=3)
    learner.train_round()
    file = unpack(pack(personal_model(learner, describe_model(learner, model="mlp"))))
    predictor, exported = Predictor(file), learner.export()
    parts = list(read_examples(data.name, file.description, with_targets=True))
    for part, examples in zip(parts, (data.train, data.held_out), strict=True):
        assert examples is not None
        with torch.no_grad():
            expected = exported(torch.from_numpy(examples.images)).numpy()
        np.testing.assert_allclose(predictor.outputs(part.inputs), expected, rtol=1e-3, atol=1e-4)
    assert (parts[0].inputs.reshape(90, -1) == values[:90].reshape(90, -1).astype(np.float32)).all()


def test_the_last_model_is_not_the_best_one() -> None:
    learner = Learner("mlp", partition(load_data_set("digits"), samples_per_class=10), seed=1)
    learner.train_round()
    learner.keep_if_best(0.9)
    learner.train_round()
    description = describe_model(learner, model="mlp")
    best, last = (personal_model(learner, description, best=best) for best in (True, False))
    assert (best.round, last.round) == (1, 2)
    assert (best.mask != last.mask).any()
    assert best.score is not None
    assert last.score is None
    assert description.input_shape == (1, 8, 8)
    assert description.full_scale == 16


@pytest.mark.parametrize(("form", "part"), [("binary", 32), ("levels", 25), ("graded", 13)])
def test_a_seed_and_a_mask_are_a_small_part_of_the_weights(form: Personal, part: int) -> None:
    draws = np.random.default_rng(1)
    images = draws.integers(0, 255, (200, 1, 28, 28)).astype(np.uint8)
    data = DataSet(Examples(images, draws.integers(0, 10, 200), 255.0), None, 10, "noise")
    learner = Learner("mlp", data, TrainingOptions(personal=form), seed=1)
    learner.train_round()
    content = pack(personal_model(learner, describe_model(learner, model="mlp")))
    assert len(content) < 4 * learner.layout.size / part
