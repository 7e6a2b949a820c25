"""The thread that owns the learner: which model of a node is its best."""

from __future__ import annotations

import numpy as np
import pytest

from dslnode.data.dataset import DataSet, Examples
from dslnode.data.target import Target, Task
from dslnode.learning.learner import Learner
from dslnode.runtime.learner_thread import LearnerThread


def numbers(*, learnable: bool) -> DataSet:
    """Return 80 rows, and numbers that follow from them or from nothing."""
    draws = np.random.default_rng(4)
    inputs = draws.normal(size=(80, 6)).astype(np.float32)
    values = inputs[:, :1] if learnable else draws.normal(size=(80, 1)).astype(np.float32)
    examples = Examples(inputs, np.zeros(80, np.int64), values=values)
    parts = [examples.take(np.arange(start, start + 40)) for start in (0, 40)]
    return DataSet(parts[0], parts[1], 2, "made", Target(task=Task.REGRESSION))


@pytest.mark.parametrize("learnable", [True, False])
async def test_the_untrained_model_is_the_best_until_a_round_is_better(learnable: bool) -> None:
    learner = Learner("mlp", numbers(learnable=learnable), seed=3)
    untrained, score = learner.mask, learner.score()
    thread = LearnerThread(learner)
    for number in range(4):
        await thread.train(number)
        found = await thread.aggregate((), evaluate=True)
    thread.close()
    assert learner.best is not None
    assert found.best is not None
    assert (found.best.round == 0) is not learnable
    if not learnable:
        assert learner.best.form.mask == untrained
        assert learner.best.score == score
