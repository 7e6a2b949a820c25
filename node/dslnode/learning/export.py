"""The personal model as a node hands it out: a plain module that answers for the node's own classes."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from dslnode.learning.masking import from_mask, tensors_of
from dslnode.protocol.mask import Mask


class PersonalModel(nn.Module):
    """A model whose logits are shifted by a constant a class: those that the node does not answer never win."""

    def __init__(self, model: nn.Module, logit_offset: Tensor) -> None:
        super().__init__()
        self.model = model
        self.logit_offset: Tensor
        self.register_buffer("logit_offset", logit_offset.clone())

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits, shape ``(batch, classes)``."""
        logits: Tensor = self.model(inputs)
        return logits + self.logit_offset


def bake(model: nn.Module, weights: Tensor, mask: Mask) -> nn.Module:
    """Return a copy of ``model`` whose maskable parameters are ``weights * mask``: a plain model to export or serve."""
    baked = copy.deepcopy(model)
    kept = tensors_of(weights * from_mask(mask), mask.layout)
    with torch.no_grad():
        for name, tensor in kept.items():
            baked.get_parameter(name).copy_(tensor)
    return baked
