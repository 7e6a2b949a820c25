"""Small personal models that learned something, and examples they have not seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dslnode.data.dataset import DataSet, Examples, load_data_set
from dslnode.data.partition import partition
from dslnode.data.target import Target, Task
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.learning.learner import Learner
from dslnode.learning.model_description import describe_model, personal_model

ROUNDS = 3


def series(task: Task = Task.CLASSIFICATION, steps: int = 12) -> DataSet:
    """Return 300 series of three features, whose mean says the class, or is the number."""
    draws = np.random.default_rng(1)
    inputs = draws.normal(size=(300, steps, 3)).astype(np.float32)
    labels = (inputs[:, :, 0].mean(axis=1) > 0).astype(np.int64)
    values = None if task is Task.CLASSIFICATION else inputs.mean(axis=1)[:, :2]
    target = Target() if values is None else Target(task=task, names=("a", "b"), centre=(5.0, 1.0), scale=(2.0, 3.0))
    examples = Examples(inputs, labels, values=values)
    held_out = examples.take(np.arange(200))
    return DataSet(examples, held_out, 2 if values is None else 1, "series", target)


def images() -> DataSet:
    """Return the digits, each pixel as a square of 16."""
    data = partition(load_data_set("digits"), seed=1)
    assert data.held_out is not None
    train, held_out = (
        Examples(part.stored.repeat(2, axis=2).repeat(2, axis=3), part.labels, part.full_scale)
        for part in (data.train, data.held_out)
    )
    return DataSet(train, held_out, 10, "digits of 16x16")


DATA = {
    "mlp": lambda: partition(load_data_set("digits"), seed=1),
    "cnn": images,
    "gru": series,
    "cnn1d": series,
}


def learned(model: str, data: DataSet) -> tuple[PersonalModelFile, NDArray[np.float32]]:
    """Return a personal model of some rounds, and the inputs that were held out, in the units of the data."""
    learner = Learner(model, data, seed=3)
    for _ in range(ROUNDS):
        learner.train_round()
    assert data.held_out is not None
    file = personal_model(learner, describe_model(learner, model=model), best=False)
    return file, data.held_out.stored.astype(np.float32)
