"""The form in which a node keeps and exports its personal model: the mask alone, or levels of strength with it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from dslnode.inference.levels import HIGHEST, Levels, fitted_levels
from dslnode.learning.frozen_network import FrozenNetwork
from dslnode.learning.graded_mask import graded_strengths, layer_powers
from dslnode.learning.group_sparsity import ChannelScales
from dslnode.learning.masking import from_mask
from dslnode.learning.options import Personal, TrainingOptions
from dslnode.protocol.mask import Mask

HIGHEST_LEVEL: dict[Personal, int] = {"binary": 1, "levels": 7, "graded": HIGHEST}
"""The largest level of each form: 7 are three bits a kept weight, 127 as good as any number."""


@dataclass(frozen=True, eq=False)
class PersonalForm:
    """What the frozen weights of a personal model are multiplied by: its mask, and levels unless it is binary."""

    mask: Mask
    levels: Levels | None = None

    @cached_property
    def factors(self) -> Tensor:
        """The factors, float32 (weights,)."""
        if self.levels is None:
            return from_mask(self.mask)
        return torch.from_numpy(self.levels.strengths(self.mask.layout))


def personal_form(
    network: FrozenNetwork,
    tensor: Tensor,
    keep: Tensor,
    mask: Mask,
    options: TrainingOptions,
    *,
    channels: ChannelScales,
) -> PersonalForm:
    """Return the personal model's form by ``options.personal``.

    ``mask`` is ``keep``, boolean (weights,), packed; it was chosen by the intermediate aggregation ``tensor``
    (weights,). Without graded training and scales of ``channels`` all forms are binary.
    """
    if options.personal == "binary" or not (options.power or options.group_lasso):
        return PersonalForm(mask)
    graded = graded_strengths(network, tensor, options) if options.power else keep.float()
    for (_, span), power in zip(network.layout.spans(), layer_powers(network, options), strict=True):
        if not power:  # thresholds of strengths are those of a sample: some that the mask keeps would count little
            graded[span] = keep[span]
    if options.group_lasso:
        graded = graded * channels.of_weights(network.layout, whole=False)
    levels = fitted_levels(graded.numpy(), keep.numpy(), network.layout, HIGHEST_LEVEL[options.personal])
    return PersonalForm(mask, levels)
