"""Replicas of scores: a step is one bit a score and one scale a layer, and comes as near as that can."""

from __future__ import annotations

import pytest
import torch

from dslnode.learning.replica import apply_step, checksum, distance, quantize, step_length
from tests.scores import FIRST, LAYOUT, scores_of


def test_a_step_moves_each_score_by_its_layers_scale_towards_the_scores() -> None:
    scores = scores_of(1)
    step = quantize(FIRST, scores, LAYOUT)
    moved = step.replica - FIRST
    for (_, span), scale in zip(LAYOUT.spans(), step.scales, strict=True):
        assert torch.allclose(moved[span].abs(), torch.tensor(scale), rtol=1e-4)
        assert scale == pytest.approx(float((scores - FIRST)[span].abs().mean()))
    assert torch.equal(moved > 0, scores >= FIRST)


def test_who_hears_a_step_gets_the_same_replica_to_the_bit() -> None:
    step = quantize(FIRST, scores_of(1), LAYOUT)
    heard = apply_step(FIRST, step.signs, step.scales)
    assert torch.equal(heard, step.replica)
    assert checksum(heard) == step.checksum


def test_a_step_knows_how_far_it_went_and_leaves_less_lacking() -> None:
    scores = scores_of(1)
    step = quantize(FIRST, scores, LAYOUT)
    assert step.length == step_length(step.signs, step.scales) == pytest.approx(distance(step.replica, FIRST), rel=1e-4)
    assert distance(scores, step.replica) < distance(scores, FIRST)


def test_checksums_tell_replicas_apart() -> None:
    assert checksum(FIRST) == checksum(FIRST.clone()) != checksum(scores_of(1))
