"""What nodes hold alike is held once, computed once, and gone when nobody holds it."""

from __future__ import annotations

import gc

import torch

from dslnode.learning.masking import to_mask
from dslnode.learning.replica import checksum, quantize
from dslnode.learning.score_consensus import AppliedStep
from dslnode.protocol.mask import MaskLayer, MaskLayout
from dslnode.simulation.shared_replicas import SharedReplicas

LAYOUT = MaskLayout((MaskLayer("weight", (4, 5)),))


def test_equal_tensors_become_one() -> None:
    shared = SharedReplicas()
    first = shared.tensor(torch.arange(20.0))
    assert shared.tensor(torch.arange(20.0)) is first
    assert shared.tensor(torch.arange(1.0, 21.0)) is not first


def test_a_step_is_known_to_whoever_held_the_very_replica() -> None:
    shared, replica = SharedReplicas(), torch.zeros(20)
    step = shared.remember(replica, quantize(replica, torch.linspace(-1, 1, 20), LAYOUT))
    known = shared.after(replica, step.signs)
    assert known is not None
    assert known.replica is step.replica
    assert known.checksum == checksum(step.replica)
    assert shared.after(torch.zeros(20), step.signs) is None, "equal, and another: it is computed"


def test_a_step_of_another_process_is_computed_once() -> None:
    shared, replica = SharedReplicas(), torch.zeros(20)
    step = quantize(replica, torch.linspace(-1, 1, 20), LAYOUT)
    applied = AppliedStep(step.replica, step.checksum)
    shared.remember_applied(replica, step.signs, applied)
    late = torch.ones(20)
    shared.remember_applied(late, step.signs, AppliedStep(late, b"another"))
    known = shared.after(replica, step.signs)
    assert known is not None
    assert known.replica is step.replica
    assert shared.after(late, step.signs) is None


def test_a_node_that_quantizes_twice_holds_one_replica() -> None:
    shared, replica, scores = SharedReplicas(), torch.zeros(20), torch.linspace(-1, 1, 20)
    first, second = (shared.remember(replica, quantize(replica, scores, LAYOUT)) for _ in range(2))
    assert first.replica is second.replica


def test_masks_are_known_by_replica_and_counts() -> None:
    shared, replica = SharedReplicas(), torch.arange(20.0)
    mask = to_mask(replica > 9, LAYOUT)
    shared.remember_mask(replica, (10,), mask)
    assert shared.mask(replica, (10,)) is mask
    assert shared.mask(replica, (9,)) is None
    assert shared.mask(replica.clone(), (10,)) is None


def test_nothing_is_kept_that_no_node_holds() -> None:
    shared, replica = SharedReplicas(), torch.zeros(20)
    step = shared.remember(replica, quantize(replica, torch.ones(20), LAYOUT))
    shared.remember_mask(step.replica, (10,), to_mask(step.replica > 0, LAYOUT))
    del step
    gc.collect()
    assert not shared._steps
    assert not shared._masks
    assert not list(shared._tensors)
