"""The personal model as a node hands it out: a plain module that answers for the node's own classes."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dslnode.learning.frozen_network import FrozenNetwork
from dslnode.learning.masking import from_mask, tensors_of
from dslnode.protocol.mask import Mask


class PersonalModel(nn.Module):
    """A model whose answers are the node's: logits of classes, or numbers in their original units.

    ``logit_offset`` (outputs,) is added to its outputs: classes that the node does not answer never win. ``centre`` and
    ``scale``, (outputs,) or (), then turn them into the original units.
    """

    def __init__(self, model: nn.Module, logit_offset: Tensor, centre: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.model = model
        self.logit_offset: Tensor
        self.centre: Tensor
        self.scale: Tensor
        for name, tensor in (("logit_offset", logit_offset), ("centre", centre), ("scale", scale)):
            self.register_buffer(name, tensor.clone())

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits, numbers, or a reconstruction, shape ``(batch, outputs)``."""
        outputs: Tensor = self.model(inputs)
        return self.centre + self.scale * (outputs + self.logit_offset)


def bake(model: nn.Module, weights: Tensor, mask: Mask) -> nn.Module:
    """Return a copy of ``model`` whose maskable parameters are ``weights * mask``: a plain model to export or serve."""
    baked = copy.deepcopy(model)
    kept = tensors_of(weights * from_mask(mask), mask.layout)
    with torch.no_grad():
        for name, tensor in kept.items():
            baked.get_parameter(name).copy_(tensor)
    return baked


@dataclass(frozen=True, eq=False)
class MaskParts:
    """What a file must hold of a mask: its bits where the weights follow from the seed, else the kept weights.

    ``packed`` uint8 (bytes,) is the mask as it is packed, ``kept`` float32 by parameter name. One of them is empty.
    """

    packed: NDArray[np.uint8]
    kept: dict[str, NDArray[np.float32]]


def mask_parts(network: FrozenNetwork, mask: Mask, *, seeded: bool) -> MaskParts:
    """Return what a file must hold of a mask over a network that is ``seeded`` as a whole, or is not."""
    if seeded:
        return MaskParts(np.frombuffer(mask.to_bytes(), np.uint8), {})
    kept = network.masked_weights(from_mask(mask))
    return MaskParts(np.empty(0, np.uint8), {name: tensor.numpy() for name, tensor in kept.items()})
