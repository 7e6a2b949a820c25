"""Which round is the best, and that its model is what is handed out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dslnode.data.dataset import DataSet, Examples, load_data_set
from dslnode.data.partition import partition
from dslnode.learning.best_model import BestScore
from dslnode.learning.learner import Learner
from dslnode.learning.options import TrainingOptions


@pytest.fixture(scope="module")
def digits() -> DataSet:
    return partition(load_data_set("digits"), samples_per_class=8, seed=1)


def bests(scores: list[float]) -> list[int]:
    best = BestScore()
    return [place for place, score in enumerate(scores) if best.add(score)]


def test_every_round_of_a_rise_is_the_best_so_far_and_none_of_a_fall() -> None:
    assert bests([0.1, 0.5, 0.7]) == [0, 1, 2]
    assert bests([0.7, 0.6, 0.5, 0.6, 0.7]) == [0]


def test_one_lucky_measurement_does_not_outdo_a_steady_level() -> None:
    assert bests([0.7, 0.75, 0.76, 0.7, 0.79, 0.7]) == [0, 1, 2, 4]
    assert bests([0.76, 0.7, 0.7, 0.7, 0.77]) == [0], "after bad rounds one good one is luck"


def test_the_untrained_model_is_to_be_beaten_and_no_part_of_the_average() -> None:
    best = BestScore()
    assert best.add(0.1, trained=False)
    assert [best.add(score) for score in (0.954, 0.995, 0.986, 0.977, 0.968)] == [True, True, True, False, False]
    best = BestScore()
    assert best.add(0.9, trained=False)
    assert [best.add(score) for score in (0.8, 0.99, 0.99)] == [False, False, True]


def test_what_is_exported_is_the_best_and_learning_goes_on(digits: DataSet) -> None:
    learner = Learner("mlp", digits, TrainingOptions(local_steps=5))
    learner.train_round()
    assert learner.keep_if_best(0.9)
    images = torch.from_numpy(digits.train.images)
    then = learner.export()(images).detach()
    learner.train_round()
    assert not learner.keep_if_best(0.2)
    assert torch.equal(learner.export()(images), then)
    assert learner.best is not None
    assert (learner.best.round, learner.best.score) == (1, 0.9)
    assert learner.best.form.mask != learner.mask


def test_with_keep_last_the_present_model_is_exported(digits: DataSet) -> None:
    learner = Learner("mlp", digits, TrainingOptions(local_steps=5, keep="last"))
    assert not learner.keep_if_best(0.9)
    assert learner.best is None


def test_what_is_the_nodes_own_is_kept_with_the_mask() -> None:
    rows = np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)
    data = partition(DataSet(load_examples(rows), None, 2, "rows"), seed=1)
    learner = Learner("mlp", data, TrainingOptions(local_steps=5))
    learner.train_round()
    learner.keep_if_best(0.9)
    then = learner.export()(torch.from_numpy(rows)).detach()
    learner.train_round()
    assert torch.equal(learner.export()(torch.from_numpy(rows)), then)


def load_examples(rows: np.ndarray) -> Examples:
    return Examples(rows, (rows[:, 0] > 0).astype(np.int64))
