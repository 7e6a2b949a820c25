"""FedPM by gossip: one sampled mask per round and neighbour, models of probable and of expected masks."""

from __future__ import annotations

import torch

from dslnode.simulation.methods.cohort import Cohort
from dslnode.simulation.methods.fedpm import LEAST, FedPM
from dslnode.simulation.methods.recipes import METHODS


def test_a_round_sends_one_raw_mask_per_neighbour_at_most(cohort: Cohort) -> None:
    method = FedPM(cohort, **METHODS["fedpm"].options)
    method.round(0)
    assert method.traffic.sent.raw == 4 * 3 * cohort.layout.size
    assert method.traffic.sent.payload <= method.traffic.sent.raw
    assert set(method.traffic.messages) == {0, 1, 2, 3}


def test_models_are_the_frozen_weights_under_masks(cohort: Cohort) -> None:
    method = FedPM(cohort, **METHODS["fedpm"].options)
    for number in range(2):
        method.round(number)
    found = method.personal(last=True)
    for likelier, expected in zip(found["likelier"], found["expected"], strict=True):
        kept = likelier != 0
        assert 0.3 < float(kept.float().mean()) < 0.7
        assert torch.equal(likelier.sign()[kept], expected.sign()[kept])
        assert float(expected[kept].abs().min()) > LEAST * float(likelier[kept].abs().min())
