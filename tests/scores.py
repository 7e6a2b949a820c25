"""The scores of a small network, seeded, and as several nodes may have learned them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dslnode.learning.initialization import seeded_scores
from dslnode.learning.masking import layout_of

LAYOUT = layout_of(nn.Sequential(nn.Linear(12, 20, bias=False), nn.Linear(20, 4, bias=False)))
FIRST = seeded_scores(LAYOUT, 1)


def scores_of(number: int) -> Tensor:
    """Return what node ``number`` learned."""
    return FIRST + 0.1 * torch.randn(LAYOUT.size, generator=torch.Generator().manual_seed(number))
