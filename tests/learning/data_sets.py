"""Small data sets for tests of learning, made in memory, and what a round measured on such data."""

from __future__ import annotations

import numpy as np

from dslnode.data.dataset import DataSet, Examples
from dslnode.learning.judgement import Judgement, Metric
from dslnode.learning.results import Baseline, HeldOut
from dslnode.learning.tasks.classification import Classification


def three_classes() -> Classification:
    """Return the task of three classes with as many examples each."""
    examples = Examples(np.zeros((3, 6), np.float32), np.arange(3))
    return Classification(DataSet(examples, None, 3, "three"))


def held_out(score: float, *baselines: Baseline, name: str = "accuracy") -> HeldOut:
    """Return a measurement on held-out data."""
    return HeldOut(name=name, score=score, judgement=Judgement((Metric(name, score),)), baselines=baselines)
