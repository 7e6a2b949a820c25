"""What a message costs, by each way of counting."""

from __future__ import annotations

import pytest
import torch

from dslnode.protocol.mask import MaskLayer, MaskLayout
from dslnode.simulation.methods.bits import coded_mask_bits, entropy, flipped, mask_message

LAYOUT = MaskLayout((MaskLayer("one", (10, 10)),))


def test_entropy() -> None:
    assert entropy(0.5) == 1
    assert entropy(0.3) == pytest.approx(0.881, abs=0.001)
    assert entropy(0) == entropy(1) == 0


def test_flips_cost_their_conditional_entropy() -> None:
    previous = torch.arange(100) < 30
    mask = previous.clone()
    mask[[0, 1, 2, 40, 50]] ^= True  # 3 of 30 ones lost, 2 of 70 zeros won
    expected = 30 * entropy(3 / 30) + 70 * entropy(2 / 70)
    assert coded_mask_bits(LAYOUT, mask, previous) == pytest.approx(expected)
    assert flipped(mask, previous) == 0.05


def test_the_formula_of_equal_flips() -> None:
    """For k = 0.3 and 1 % of flips the algorithm's notes say 0.080 bits a weight."""
    layout = MaskLayout((MaskLayer("one", (1000, 10)),))
    previous = torch.arange(10_000) < 3000
    mask = previous.clone()
    mask[:50] = False
    mask[3000:3050] = True
    assert coded_mask_bits(layout, mask, previous) / 10_000 == pytest.approx(0.080, abs=0.001)


def test_each_layer_has_its_own_fractions() -> None:
    layout = MaskLayout((MaskLayer("full", (10, 5)), MaskLayer("empty", (10, 5))))
    assert coded_mask_bits(layout, torch.arange(100) < 50, None) == 0


def test_an_unknown_mask_costs_its_entropy_and_a_known_one_nothing() -> None:
    mask = torch.arange(100) < 30
    assert mask_message(LAYOUT, mask, None).payload == pytest.approx(100 * entropy(0.3))
    known = mask_message(LAYOUT, mask, mask)
    assert (known.payload, known.raw, known.nominal) == (0, 100, 30)
