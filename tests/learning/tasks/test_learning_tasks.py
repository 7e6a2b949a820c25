"""Every task is learned by masks: rounds on made-up data end above every trivial predictor, and survive a restart."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dslnode.data.dataset import DataSet, Examples
from dslnode.data.target import Target, Task
from dslnode.learning.learner import Learner
from dslnode.learning.options import TrainingOptions

OPTIONS = TrainingOptions(local_steps=20)
RANDOM = np.random.default_rng(11)


def made(inputs: np.ndarray, target: Target, *, values: np.ndarray | None = None) -> DataSet:
    """Return a data set of inputs float32 (600, ...) and values (600, outputs), the last 200 held out."""
    stored, labels = inputs.astype(np.float32), np.zeros(600, np.int64)
    whole = Examples(stored, labels, values=None if values is None else values.astype(np.float32))
    return DataSet(whole.take(np.arange(400)), whole.take(np.arange(400, 600)), 2, "made up", target)


def data_for(task: Task) -> DataSet:
    inputs = RANDOM.normal(size=(600, 6))
    if task is Task.MULTILABEL:
        return made(inputs, Target(task=task), values=inputs[:, :3] + inputs[:, 3:] > 0.5)
    if task is Task.REGRESSION:
        values = 40 + 8 * inputs[:, :1] * inputs[:, 1:2] + 5 * inputs[:, 2:3]
        return made(inputs, Target(task=task, units=("bar",)), values=values)
    if task is Task.FORECAST:
        wave = np.sin(np.arange(640) / 3) + 0.3 * np.sin(np.arange(640)) + 0.05 * RANDOM.normal(size=640)
        windows = np.stack([wave[i : i + 16] for i in range(600)])[:, :, None]
        return made(
            windows,
            Target(task=task, last_values=(15, 15), centre=(0, 0), scale=(1, 1)),
            values=np.stack([wave[i + 16 : i + 18] for i in range(600)]),
        )
    return made(RANDOM.normal(size=(600, 2)) @ RANDOM.normal(size=(2, 6)), Target(task=task))


TASKS = [task for task in Task if task is not Task.CLASSIFICATION]


@pytest.mark.parametrize("task", TASKS)
def test_a_few_rounds_beat_every_trivial_predictor(task: Task) -> None:
    learner = Learner("auto", data_for(task), OPTIONS)
    for _ in range(8):
        learner.train_round()
        learner.aggregate([])
    found = learner.judge()
    assert found is not None
    assert found.unbeaten is None, found
    assert found.score > max(each.score for each in found.baselines if each.trivial) + 0.2


@pytest.mark.parametrize("task", TASKS)
def test_a_restart_goes_on_to_the_bit(task: Task) -> None:
    data = data_for(task)
    straight = Learner("auto", data, OPTIONS)
    straight.train_round(0)
    again = Learner("auto", data, OPTIONS)
    again.restore(straight.state())
    assert again.train_round(1) == straight.train_round(1)
    assert again.mask == straight.mask
    assert again.score() == straight.score()


@pytest.mark.parametrize("model", ["mlp", "cnn1d", "gru"])
def test_nodes_of_a_task_share_a_network_and_take_in_each_others_masks(model: str) -> None:
    data = data_for(Task.FORECAST)
    one, other = Learner(model, data, OPTIONS), Learner(model, data, OPTIONS)
    one.train_round()
    other.train_round()
    assert one.fingerprint == other.fingerprint
    assert set(one.aggregate([other.mask])) == {"neighbour 0"}


def test_numbers_are_answered_in_their_unit() -> None:
    data = data_for(Task.REGRESSION)
    learner = Learner("auto", data, OPTIONS)
    for _ in range(8):
        learner.train_round()
    assert data.held_out is not None
    assert data.held_out.values is not None
    with torch.no_grad():
        answers = learner.export()(torch.from_numpy(data.held_out.images)).numpy()
    found = learner.judge()
    assert found is not None
    assert np.abs(answers - data.held_out.values).mean() == pytest.approx(found.judgement.value("MAE"), rel=1e-3)
    assert found.judgement.metrics[1].unit == "bar"
