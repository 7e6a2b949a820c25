"""The personal model as a node hands it out: a plain module that answers for the node's own classes."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dslnode.inference.levels import Levels
from dslnode.learning.frozen_network import FrozenNetwork
from dslnode.learning.masking import tensors_of
from dslnode.learning.personal_form import PersonalForm


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


def bake(model: nn.Module, weights: Tensor, form: PersonalForm) -> nn.Module:
    """Return a copy of ``model`` whose maskable parameters are the weights under a form: plain, to export or serve."""
    baked = copy.deepcopy(model).cpu()
    kept = tensors_of(weights * form.factors, form.mask.layout)
    with torch.no_grad():
        for name, tensor in kept.items():
            baked.get_parameter(name).copy_(tensor)
    return baked


@dataclass(frozen=True, eq=False)
class ModelParts:
    """What a file must hold of a personal model: mask and levels where the weights follow from the seed, else these.

    ``packed`` uint8 (bytes,) is the mask as it is packed, ``kept`` the weights float32 by parameter name. One of them
    is empty; ``levels`` are None without ``packed``, and in the binary form.
    """

    packed: NDArray[np.uint8]
    levels: Levels | None
    kept: dict[str, NDArray[np.float32]]


def model_parts(network: FrozenNetwork, form: PersonalForm, *, seeded: bool) -> ModelParts:
    """Return what a file must hold of a form over a network that is ``seeded`` as a whole, or is not."""
    if seeded:
        return ModelParts(np.frombuffer(form.mask.to_bytes(), np.uint8), form.levels, {})
    kept = network.masked_weights(form.factors)
    return ModelParts(np.empty(0, np.uint8), None, {name: tensor.numpy() for name, tensor in kept.items()})
