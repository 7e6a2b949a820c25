"""The personal model as a node hands it out: a plain module that answers for the node's own classes."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

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
