"""The form in which a node keeps and exports its personal model: the mask alone, or levels of strength with it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from dslnode.inference.levels import HIGHEST, Levels, fitted_levels
from dslnode.learning.frozen_network import FrozenNetwork
from dslnode.learning.graded_mask import layer_powers, strengths
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
    (weights,). Without a graded layer and scales of ``channels`` all forms are binary.
    """
    powers = layer_powers(network, options)
    if options.personal == "binary" or not (any(powers) or options.group_lasso):
        return PersonalForm(mask)
    graded = strengths(tensor, network.layout, network.counts, powers)
    for (_, span), power in zip(network.layout.spans(), powers, strict=True):
        if not power:  # thresholds of strengths are those of a sample: some that the mask keeps would count little
            graded[span] = keep[span]
    if options.group_lasso:
        graded = graded * channels.of_weights(network.layout, whole=False)
    levels = fitted_levels(graded.numpy(), keep.numpy(), network.layout, HIGHEST_LEVEL[options.personal])
    return PersonalForm(mask, levels)
