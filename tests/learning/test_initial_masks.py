"""The masks that everybody starts from: what the seed says, for any counts, and their mean over neighbours."""

from __future__ import annotations

import torch
from torch import nn

from dslnode.learning.initial_masks import MAX_MASKS, InitialMasks
from dslnode.learning.initialization import seeded_mask
from dslnode.learning.masking import layout_of, to_mask

LAYOUT = layout_of(nn.Sequential(nn.Linear(12, 20, bias=False), nn.Linear(20, 4, bias=False)))


def test_a_mask_is_the_seeds_however_many_others_were_asked_for() -> None:
    ground = InitialMasks(LAYOUT, 1)
    for count in range(MAX_MASKS + 3):
        assert torch.equal(ground.mask((count, 5)), seeded_mask(LAYOUT, 1, (count, 5)))
    assert torch.equal(ground.mask((0, 5)), seeded_mask(LAYOUT, 1, (0, 5)))


def test_neighbours_without_weight_have_no_ground() -> None:
    """As those are whose masks are a thousand rounds old."""
    mask = to_mask(seeded_mask(LAYOUT, 2, (24, 8)).bool(), LAYOUT)
    assert not InitialMasks(LAYOUT, 1).mean([(mask, 0.0)]).any()


def test_the_mean_weighs_each_neighbours_own_start_whatever_its_mask_says_now() -> None:
    ground = InitialMasks(LAYOUT, 1)
    sparse, dense = (to_mask(seeded_mask(LAYOUT, 2, counts).bool(), LAYOUT) for counts in ((24, 8), (120, 40)))
    expected = 0.25 * seeded_mask(LAYOUT, 1, (24, 8)) + 0.75 * seeded_mask(LAYOUT, 1, (120, 40))
    assert torch.allclose(ground.mean([(sparse, 1.0), (dense, 3.0)]), expected)
