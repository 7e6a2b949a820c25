"""Minibatches of the compared methods."""

from __future__ import annotations

import torch

from dslnode.simulation.methods.cohort import Cohort
from dslnode.simulation.methods.network import batches


def test_batches_go_through_all_examples(cohort: Cohort) -> None:
    examples = cohort.parts[0].train
    stream = batches(examples, len(examples), 1, 0)
    images, labels = next(stream)
    assert sorted(labels.tolist()) == sorted(examples.labels.tolist())
    assert not torch.equal(images, next(stream)[0])
