"""A personal model as its file holds it: a mask, how strong the kept weights are, and its other tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dslnode.inference.levels import Levels
from dslnode.inference.mask_coding import Bits
from dslnode.inference.model_header import Description, Score
from dslnode.protocol.frozen_bits import frozen_signs

Tensors = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Seal:
    """The signature of the node's ticket over the file, and its certificate; both DER."""

    signature: bytes
    certificate: bytes


@dataclass(frozen=True, eq=False, kw_only=True)
class PersonalModelFile:
    """A personal model: its description, its mask as bits uint8 (weights,), and its other tensors, float32 by name.

    ``levels`` say how strong the kept weights are; without any, all are alike.
    """

    description: Description
    round: int
    mask: Bits
    levels: Levels | None = None
    tensors: Tensors = field(default_factory=dict)
    score: Score | None = None
    threshold: float | None = None
    seal: Seal | None = None

    def units(self) -> tuple[np.float32, ...]:
        """Return what each layer's weights are whole multiples of: its scale, times the step of its levels."""
        steps = (1.0,) * len(self.description.layers) if self.levels is None else self.levels.steps
        pairs = zip(self.description.layers, steps, strict=True)
        return tuple(np.float32(layer.scale) * np.float32(step) for layer, step in pairs)

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """Return all weights by name: the frozen ones under the mask, and the others."""
        layout = self.description.mask_layout
        signs = frozen_signs(layout, self.description.network_seed)
        weights = dict(self.tensors)
        factors = self.mask if self.levels is None else self.levels.codes
        for (layer, span), unit in zip(layout.spans(), self.units(), strict=True):
            frozen = signs[span].astype(np.float32)  # in place from here: a board may have little memory
            frozen *= 2
            frozen -= 1
            frozen *= unit
            frozen *= factors[span]
            weights[layer.name] = frozen.reshape(layer.shape)
        return weights
