"""Graded training: kept weights count by how far their scores lie above the threshold of their layer's mask.

A hard mask jumps where a score crosses the threshold, and the mean of two nodes' scores is then not the mean of their
models. A soft threshold with the straight-through gradient has no jump (STR: Kusupati et al. 2020; ST-3: Vanderschueren
and De Vleeschouwer 2022). The mask is still the top-k of the intermediate aggregation tensor, and masks are all that
nodes exchange.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from dslnode.learning.frozen_network import FrozenNetwork
from dslnode.learning.masking import sampled_threshold
from dslnode.learning.options import TrainingOptions
from dslnode.protocol.mask import MaskLayer, MaskLayout

FEW_KEPT = 8
"""Layers that keep fewer weights are binary: the kept weight at the threshold has no strength, and would be missed."""


def layer_powers(network: FrozenNetwork, options: TrainingOptions) -> tuple[float, ...]:
    """Return each layer's power: that of the options, or 0 for a layer that is binary.

    These are layers that keep few weights, and pretrained ones: their weights have sizes that were learned, and their
    first scores lie so close together that strengths would shrink the layer to a fifth. For a binary personal model
    they are also all layers of more than two dimensions, which then train as they are exported. Few weights of a
    convolution each count in many places: its mask made binary is another filter, and costs several points of accuracy,
    where a linear layer of many inputs hardly changes (docs/results/ablations.md).
    """
    layers = zip(network.layout.layers, network.counts, strict=True)
    return tuple(0.0 if _is_binary(layer, count, network, options) else options.power for layer, count in layers)


def _is_binary(layer: MaskLayer, count: int, network: FrozenNetwork, options: TrainingOptions) -> bool:
    convolution = len(layer.shape) > 2
    return count < FEW_KEPT or layer.name in network.pretrained or (convolution and options.personal == "binary")


def strengths(
    tensor: Tensor,
    layout: MaskLayout,
    counts: tuple[int, ...],
    powers: tuple[float, ...],
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Return each weight's strength, float32 (weights,): 0 where it is not kept. In ``out``, which may be ``tensor``.

    Of an intermediate aggregation tensor (weights,), the strength is ``c * (T - threshold) ** power``, with a power of
    each layer, at least 0. The factor c of a layer gives the kept weights of the seeded scores a root mean square of 1.
    """
    found = torch.empty_like(tensor) if out is None else out
    for (layer, span), count, power in zip(layout.spans(), counts, powers, strict=True):
        values, own = tensor[span], found[span]
        threshold = float(sampled_threshold(values.numpy(), layer, count))
        if power == 0:
            torch.ge(values, threshold, out=own)
            continue
        torch.sub(values, threshold, out=own).clamp_min_(0)  # numpy.maximum takes seven times as long
        _raise(own.numpy(), power)
        own.mul_(_factor(layer, count, power))
    return found


def graded_strengths(
    network: FrozenNetwork, tensor: Tensor, options: TrainingOptions, *, out: Tensor | None = None
) -> Tensor:
    """Return the strengths (weights,) that the options give the weights of a network; ``out`` as above."""
    return strengths(tensor, network.layout, network.counts, layer_powers(network, options), out=out)


def _factor(layer: MaskLayer, count: int, power: float) -> float:
    """Return c: seeded scores are uniform in +-1/sqrt(fan-in), so those kept lie evenly above the threshold."""
    span = 2 * count / (layer.size * math.sqrt(layer.fan_in))
    return math.sqrt(2 * power + 1) / math.pow(span, power)


def _raise(values: np.ndarray, power: float) -> None:
    """Raise to a power in place; roots of roots where that does it, a tenth of the time of ``numpy.power``."""
    roots = -math.log2(power)
    if roots == int(roots) and 0 <= roots <= 3:
        for _ in range(int(roots)):
            np.sqrt(values, out=values)
    else:
        np.power(values, np.float32(power), out=values)
