"""Masks in torch: which parameters are masked, keep counts, exact top-k, and masks as vectors (paper, step 3).

Vectors are flat, float32 of shape (weights,), layer after layer in the layout's order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dslnode.errors import SettingsError
from dslnode.learning.parameter_roles import Role, parameter_roles
from dslnode.protocol.mask import Mask, MaskLayer, MaskLayout

WeightedMask = tuple[Mask, float]
"""A mask, and its weight in a mean, at least 0; weights need not sum to 1."""
SAMPLED = 8_192
"""Values, at least, by which the threshold of a layer is found while it trains."""
SAMPLE = 2048
"""Values in the sorted sample by which top-k narrows a layer down."""


def layout_of(model: nn.Module) -> MaskLayout:
    """Return the masked parameters of ``model``: its weight matrices (``parameter_roles``); a tied one counts once."""
    masked = (parameter for parameter in parameter_roles(model) if parameter.role is Role.MASKED)
    return MaskLayout(tuple(MaskLayer(parameter.name, parameter.shape) for parameter in masked))


def resolve_keep_ratios(
    layout: MaskLayout, default: float, linear: float | None, by_pattern: Mapping[str, float]
) -> tuple[float, ...]:
    """Return each layer's keep ratio: that of the first pattern (``"features.*"``) that matches its name, else
    ``linear`` if that is given and the layer has two dimensions, else ``default``.

    Raises ``SettingsError`` if a pattern matches no layer.
    """
    names = [layer.name for layer in layout.layers]
    for pattern in by_pattern:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise SettingsError(f"layer_keep_ratios: no layer matches {pattern!r}; the layers are {', '.join(names)}")

    def ratio_of(layer: MaskLayer) -> float:
        matching = (ratio for pattern, ratio in by_pattern.items() if fnmatchcase(layer.name, pattern))
        return next(matching, default if linear is None or len(layer.shape) != 2 else linear)

    return tuple(ratio_of(layer) for layer in layout.layers)


def keep_counts(layout: MaskLayout, keep_ratios: tuple[float, ...]) -> tuple[int, ...]:
    """Return how many weights each layer keeps: its keep ratio of its size, rounded, at least one."""
    return tuple(max(1, round(ratio * layer.size)) for layer, ratio in zip(layout.layers, keep_ratios, strict=True))


def top_k(ranking: Tensor, layout: MaskLayout, counts: tuple[int, ...]) -> Tensor:
    """Return a boolean vector that is true at the ``counts`` largest entries of each layer of ``ranking``.

    Among equals the lowest index wins, so the count is exact.
    """
    values = ranking.numpy()
    keep = np.empty(layout.size, dtype=np.bool_)
    for (_, span), count in zip(layout.spans(), counts, strict=True):
        _mark_largest(values[span], count, keep[span])
    return torch.from_numpy(keep)


def near_top_k(ranking: Tensor, layout: MaskLayout, counts: tuple[int, ...]) -> Tensor:
    """Return a boolean vector that is true at about the ``counts`` largest entries of each layer: enough for training.

    The threshold of a large layer is that of a sample.
    """
    values = ranking.numpy()
    keep = np.empty(layout.size, dtype=np.bool_)
    for (layer, span), count in zip(layout.spans(), counts, strict=True):
        np.greater_equal(values[span], sampled_threshold(values[span], layer, count), out=keep[span])
    return torch.from_numpy(keep)


def sampled_threshold(values: NDArray[np.float32], layer: MaskLayer, count: int) -> np.float32:
    """Return about the ``count``-th largest of a layer's values; exactly that of a small layer.

    The sample takes every so many values. The stride has no factor in common with the rows of the layer, or the sample
    would see some columns alone.
    """
    stride = max(1, len(values) // SAMPLED)
    while math.gcd(stride, layer.fan_in) > 1:
        stride += 1
    sample = values[::stride]
    return kth_largest(sample, max(1, round(count * len(sample) / len(values))))


def to_mask(keep: Tensor, layout: MaskLayout) -> Mask:
    """Pack a boolean vector into a mask."""
    packed = np.packbits(keep.numpy(), bitorder="little").tobytes()
    return Mask.from_bytes(layout, packed)


def from_mask(mask: Mask) -> Tensor:
    """Unpack a mask into a float32 vector of zeros and ones."""
    packed = np.frombuffer(mask.to_bytes(), dtype=np.uint8)
    return torch.from_numpy(np.unpackbits(packed, count=mask.layout.size, bitorder="little").astype(np.float32))


def tensors_of(vector: Tensor, layout: MaskLayout) -> dict[str, Tensor]:
    """Return views of a flat vector as the tensors of the layout, by parameter name."""
    return {layer.name: vector[span].view(layer.shape) for layer, span in layout.spans()}


def weighted_mean(size: int, masks: Sequence[WeightedMask], vector_of: Callable[[Mask], Tensor]) -> Tensor:
    """Return the weighted mean of a vector (size,) for each mask, made one at a time; zeros if no mask has a weight."""
    total = sum(weight for _, weight in masks)
    mean = torch.zeros(size)
    if total <= 0:
        return mean
    for mask, weight in masks:
        mean.add_(vector_of(mask), alpha=weight / total)
    return mean


def kept_weights(weights: Tensor, mask: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Return the weights times a mask, both (weights,): boolean, or float32 strengths. In ``out``, if that is given.

    By numpy, which multiplies floats by booleans in half of torch's time.
    """
    found = torch.empty_like(weights) if out is None else out
    np.multiply(weights.numpy(), mask.numpy(), out=found.numpy())
    return found


def _mark_largest(values: NDArray[np.float32], count: int, keep: NDArray[np.bool_]) -> None:
    if not 0 < count < len(values):
        keep[:] = count > 0
        return
    threshold = kth_largest(values, count)
    np.greater_equal(values, threshold, out=keep)
    if np.count_nonzero(keep) != count:
        np.greater(values, threshold, out=keep)
        missing = count - np.count_nonzero(keep)
        keep[np.flatnonzero(values == threshold)[:missing]] = True


def kth_largest(values: NDArray[np.float32], count: int) -> np.float32:
    """Return the ``count``-th largest of the values; ``count`` is from 1 to their number.

    It is selected among those near it only (Floyd and Rivest 1975): a sorted sample brackets it. If the bracket misses,
    the whole layer is partitioned.
    """
    candidates, rank = values, count
    if len(values) >= 4 * SAMPLE:
        sample = np.sort(values[:: len(values) // SAMPLE])
        place = len(sample) - count * len(sample) // len(values)
        slack = 3 * math.isqrt(len(sample))
        low = sample[place - slack] if place >= slack else np.float32(-np.inf)
        high = sample[place + slack] if place + slack < len(sample) else np.float32(np.inf)
        near = values[np.flatnonzero((values >= low) & (values <= high))]
        above = count - int(np.count_nonzero(values > high))
        if 0 < above <= len(near):
            candidates, rank = near, above
    largest: np.float32 = np.partition(candidates, len(candidates) - rank)[len(candidates) - rank]
    return largest
