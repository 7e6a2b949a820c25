"""The masks that all nodes start from: they follow from the seed and a mask's keep counts, so they are never sent.

What a neighbour's mask says beyond its initial mask is what it learned. So dense and sparse neighbours can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from dslnode.learning.initialization import seeded_mask
from dslnode.learning.masking import WeightedMask, weighted_mean
from dslnode.learning.pretrained import PretrainedNetwork
from dslnode.protocol.mask import MaskLayout

MAX_MASKS = 16


class InitialMasks:
    """Initial masks, float32 (weights,) of zeros and ones, by keep counts per layer; the last few are remembered."""

    def __init__(self, layout: MaskLayout, seed: int, pretrained: PretrainedNetwork | None = None) -> None:
        self._layout = layout
        self._pretrained = pretrained
        self._seed = seed
        self._masks: dict[tuple[int, ...], Tensor] = {}

    def mask(self, counts: tuple[int, ...]) -> Tensor:
        """Return the mask that a node with these keep counts per layer starts from; not to be changed in place."""
        if counts not in self._masks:
            if len(self._masks) >= MAX_MASKS:
                self._masks.clear()
            self._masks[counts] = seeded_mask(self._layout, self._seed, counts, self._pretrained)
        return self._masks[counts]

    def mean(self, neighbours: Sequence[WeightedMask]) -> Tensor:
        """Return the weighted mean of the masks that these neighbours started from; zeros if none has a weight."""
        return weighted_mean(self._layout.size, neighbours, lambda mask: self.mask(mask.layer_counts()))
