"""Pooled data: each node's own classes, of all nodes."""

from __future__ import annotations

import numpy as np

from benchmarks.pooled_data import node_settings, pooled, pooled_accuracies
from dslnode.cli.demo_nodes import Plan
from dslnode.runtime.build import node_data

PLAN = Plan(3, 2, "digits", "classes:6", 4)


def test_a_pooled_node_has_all_images_of_its_classes_and_no_other_class() -> None:
    parts = [node_data(node_settings(PLAN, node)) for node in range(PLAN.count)]
    for node, own in enumerate(parts):
        found = pooled(parts, node)
        classes = set(own.train.labels.tolist())
        wanted = sum(int(np.isin(part.train.labels, list(classes)).sum()) for part in parts)
        assert len(found.train) == len(found.train.labels) == wanted
        assert set(found.train.labels.tolist()) == classes
        assert found.held_out is own.held_out


def test_each_image_keeps_its_label() -> None:
    parts = [node_data(node_settings(PLAN, node)) for node in range(PLAN.count)]
    known = {part.train.stored[i].tobytes(): part.train.labels[i] for part in parts for i in range(len(part.train))}
    found = pooled(parts, 0).train
    assert [known[image.tobytes()] for image in found.stored] == found.labels.tolist()


def test_every_node_is_measured_in_percent() -> None:
    found = pooled_accuracies(PLAN)
    assert len(found) == PLAN.count
    assert all(20 < accuracy <= 100 for accuracy in found)
