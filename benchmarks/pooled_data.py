"""How much there is to gain from neighbours at all: a node that holds their images of its own classes, too.

It learns alone, with as many local steps. No exchange of masks or models can tell it more than these images do, so its
gain over a node without them is what learning together is measured against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch

from dslnode.cli.demo_nodes import Plan, plan_settings
from dslnode.config.settings import Settings
from dslnode.data.dataset import DataSet, Examples
from dslnode.learning.learner import Learner
from dslnode.runtime.build import initialization_options, node_data, training_options


def pooled_accuracies(plan: Plan) -> list[float]:
    """Return the accuracy, in percent, of each node of a plan with pooled images, on its held-out images."""
    torch.set_num_threads(1)
    settings = [node_settings(plan, node) for node in range(plan.count)]
    parts = [node_data(own) for own in settings]
    return [_accuracy(own, pooled(parts, node)) for node, own in enumerate(settings)]


def node_settings(plan: Plan, node: int) -> Settings:
    """Return the settings of a node of a plan."""
    return plan_settings(plan).model_copy(update={"name": f"node-{node}", "share": f"{node + 1}/{plan.count}"})


def pooled(parts: Sequence[DataSet], node: int) -> DataSet:
    """Return a node's part of the data, with the training examples of all other parts that are of its classes."""
    own = parts[node].train
    classes = np.unique(own.labels)
    others = [part.train for place, part in enumerate(parts) if place != node]
    wanted = [examples.take(np.flatnonzero(np.isin(examples.labels, classes))) for examples in others]
    return replace(parts[node], train=_joined([own, *wanted]))


def _joined(parts: Sequence[Examples]) -> Examples:
    arrays: dict[str, Any] = {}
    for field in fields(Examples):
        found = [getattr(part, field.name) for part in parts]
        if isinstance(found[0], np.ndarray):
            arrays[field.name] = np.concatenate(found)
    return replace(parts[0], **arrays)


def _accuracy(settings: Settings, data: DataSet) -> float:
    learner = Learner(settings.model, data, training_options(settings), initialization_options(settings))
    for _ in range(settings.rounds or 0):
        learner.train_round()
        learner.aggregate([])
    score = learner.score()
    assert score is not None, "the plan's data have held-out images"
    return 100 * score
