"""The norm over channels that are left against torch's norm over all of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dslnode.learning.placed_norm import PlacedResponseNorm


@pytest.mark.parametrize("size", range(1, 7))
def test_channels_are_normed_as_if_the_others_were_zero(size: int) -> None:
    norm = nn.LocalResponseNorm(size, alpha=2.0, beta=0.6, k=1.5)
    inputs = torch.randn(2, 12, 4, 3, generator=torch.Generator().manual_seed(1))
    placed = PlacedResponseNorm(norm, 12)
    assert torch.allclose(placed(inputs), norm(inputs), atol=1e-6)
    living = torch.ones(12, dtype=torch.bool)
    for gone in ([0, 4, 5], [6, 11]):
        left = living.clone()
        left[gone] = False
        placed.keep(left[living])
        living = left
        inputs[:, ~living] = 0
        assert torch.allclose(placed(inputs[:, living]), norm(inputs)[:, living], atol=1e-6)
    assert placed.places.tolist() == [1, 2, 3, 7, 8, 9, 10]


def test_series_are_normed_as_images_are() -> None:
    norm = nn.LocalResponseNorm(3, alpha=2.0)
    inputs = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(PlacedResponseNorm(norm, 5)(inputs), norm(inputs), atol=1e-6)
