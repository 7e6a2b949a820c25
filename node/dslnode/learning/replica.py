"""A replica: the estimate of a node's scores that both ends hold, and the step of one bit per score that moves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from dslnode.learning.masking import from_mask, to_mask
from dslnode.protocol.codec import mask_codec
from dslnode.protocol.mask import Mask, MaskLayout


@dataclass(frozen=True, eq=False)
class QuantizedStep:
    """One step of a replica: signs, one scale per layer, and the replica that follows, float32 (scores,).

    ``length`` is how far the replica moved, as ``step_length`` measures it.
    """

    replica: Tensor
    signs: Mask
    scales: tuple[float, ...]
    checksum: bytes
    length: float


def quantize(replica: Tensor, scores: Tensor, layout: MaskLayout) -> QuantizedStep:
    """Return the step that brings a replica nearest to the scores with one bit per score and one scale per layer."""
    difference = scores - replica
    scales = tuple(float(difference[span].abs().mean()) for _, span in layout.spans())
    signs = to_mask(difference >= 0, layout)
    moved = apply_step(replica, signs, scales)
    return QuantizedStep(moved, signs, scales, checksum(moved), step_length(signs, scales))


def apply_step(replica: Tensor, signs: Mask, scales: Sequence[float]) -> Tensor:
    """Return the replica after a step: every score moved by its layer's scale, up where the bit is set, else down."""
    directions = from_mask(signs).mul_(2).sub_(1)
    for (_, span), scale in zip(signs.layout.spans(), scales, strict=True):
        directions[span] *= scale
    return directions.add_(replica)


def checksum(replica: Tensor) -> bytes:
    """Return 8 bytes of blake2b over a replica's float32 values, little-endian."""
    return mask_codec.checksum(replica.numpy().astype("<f4").tobytes())


def step_length(signs: Mask, scales: Sequence[float]) -> float:
    """Return how far a step moves a replica, up or down: the mean over its scores."""
    layers = zip(signs.layout.layers, scales, strict=True)
    return sum(layer.size * scale for layer, scale in layers) / signs.layout.size


def distance(left: Tensor, right: Tensor) -> float:
    """Return how far two sets of scores, float32 (scores,), are apart: the mean absolute difference."""
    return float((left - right).abs().mean())
