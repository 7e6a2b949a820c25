"""Minibatches of the compared methods."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from dslnode.learning.tasks.classification import class_prior
from dslnode.simulation.methods.cohort import Cohort
from dslnode.simulation.methods.network import batches, build_network, dense_start, tensors


def test_batches_go_through_all_examples(cohort: Cohort) -> None:
    examples = cohort.parts[0].train
    stream = batches(examples, len(examples), 1, 0)
    images, labels = next(stream)
    assert sorted(labels.tolist()) == sorted(examples.labels.tolist())
    assert not torch.equal(images, next(stream)[0])


def test_the_prior_of_uneven_classes_is_in_the_loss_and_in_answers_by_frequency_alone(cohort: Cohort) -> None:
    data = cohort.parts[0]
    rare = np.flatnonzero(data.train.labels == data.train.labels.min())[4:]
    uneven = replace(data, train=data.train.take(np.setdiff1d(np.arange(len(data.train)), rare)))
    prior = class_prior(uneven.train.labels, uneven.class_count)
    assert prior is not None
    parts = (uneven, *cohort.parts[1:])
    alike = build_network(replace(cohort, parts=parts), own_classes=True)
    by_frequency = build_network(replace(cohort, parts=parts, uneven_classes="by_frequency"), own_classes=True)
    weights, (images, labels) = dense_start(cohort), tensors(uneven.train)
    differ = by_frequency.logits(weights, 0, images) - alike.logits(weights, 0, images)
    own = np.unique(uneven.train.labels)
    np.testing.assert_allclose(differ[:, own], np.tile(prior[own], (len(images), 1)), atol=1e-5)
    assert torch.equal(alike.gradient(weights, 0, images, labels), by_frequency.gradient(weights, 0, images, labels))
    even = images[:4]
    assert torch.equal(alike.logits(weights, 1, even), by_frequency.logits(weights, 1, even))
