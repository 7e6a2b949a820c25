"""The masks that all nodes start from: known to everybody from the seed and a mask's counts, so never sent.

What a neighbour's mask says beyond them is what it learned, and so dense and sparse neighbours can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from dslnode.learning.aggregation import weighted_mean
from dslnode.learning.initialization import seeded_mask
from dslnode.protocol.mask import Mask, MaskLayout

MAX_MASKS = 16


class InitialMasks:
    """Seeded masks, as float vectors of shape ``(layout.size,)``, by counts a layer; the last few are remembered."""

    def __init__(self, layout: MaskLayout, seed: int) -> None:
        self._layout = layout
        self._seed = seed
        self._masks: dict[tuple[int, ...], Tensor] = {}

    def mask(self, counts: tuple[int, ...]) -> Tensor:
        """Return the mask that a node with these counts a layer starts from; not to be changed."""
        if counts not in self._masks:
            if len(self._masks) >= MAX_MASKS:
                self._masks.clear()
            self._masks[counts] = seeded_mask(self._layout, self._seed, counts)
        return self._masks[counts]

    def mean(self, neighbours: Sequence[tuple[Mask, float]]) -> Tensor:
        """Return the weighted mean of the masks that these neighbours started from; zeros if nobody has any weight."""
        return weighted_mean(self._layout.size, neighbours, lambda mask: self.mask(mask.layer_counts()))
