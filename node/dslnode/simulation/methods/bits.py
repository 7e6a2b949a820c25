"""What an exchange costs: the bits that ideal coding needs, raw bit arrays, and the authors' own count."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from dslnode.protocol.codec.mask_codec import scale_bits
from dslnode.protocol.mask import MaskLayout
from dslnode.protocol.messages import MaskMessage

FLOAT_BITS = 32


@dataclass(frozen=True)
class Bits:
    """The size of one message in the three ways of counting."""

    payload: float = 0.0  # needed on the wire if coded ideally
    raw: float = 0.0  # one bit a mask entry, 32 a float
    nominal: float = 0.0  # the authors' count: only the ones of a mask

    def __add__(self, other: Bits) -> Bits:
        """Return the sum, count by count."""
        return Bits(self.payload + other.payload, self.raw + other.raw, self.nominal + other.nominal)

    def times(self, receivers: int) -> Bits:
        """Return what it costs to send the same to several receivers: there is no broadcast."""
        return Bits(self.payload * receivers, self.raw * receivers, self.nominal * receivers)


def entropy(probability: float) -> float:
    """Return H(p) in bits, 0 at both ends."""
    if not 0 < probability < 1:
        return 0.0
    return -probability * math.log2(probability) - (1 - probability) * math.log2(1 - probability)


def coded_mask_bits(layout: MaskLayout, mask: Tensor, previous: Tensor | None) -> float:
    """Return the bits that an ideal code needs for a boolean mask whose receiver knows ``previous``.

    Layer by layer, with the layer's own fractions as probabilities: ``k H(lost / k) + (1 - k) H(won / (1 - k))``
    bits a weight, where k is the previous density; without a previous mask ``H(density)``.
    """
    return sum(_layer_bits(mask[span], None if previous is None else previous[span]) for _, span in layout.spans())


def mask_message(layout: MaskLayout, mask: Tensor, previous: Tensor | None) -> Bits:
    """Return what one boolean mask costs one receiver."""
    return Bits(coded_mask_bits(layout, mask, previous), layout.size, int(mask.count_nonzero()))


def sign_message(message: MaskMessage) -> Bits:
    """Return what one sign mask costs one receiver: the entropy of each layer's signs, and 32 bits a scale."""
    mask = message.mask
    counts = zip(mask.layout.layers, mask.layer_counts(), strict=True)
    scales = scale_bits(message.step)
    coded = sum(layer.size * entropy(ones / layer.size) for layer, ones in counts)
    return Bits(coded + scales, mask.layout.size + scales, mask.layout.size + scales)


def float_message(count: int) -> Bits:
    """Return what so many float32 cost one receiver: they hardly compress."""
    return Bits(*[float(FLOAT_BITS * count)] * 3)


def flipped(mask: Tensor, previous: Tensor) -> float:
    """Return the fraction of bits in which two boolean masks differ."""
    return int((mask ^ previous).count_nonzero()) / max(1, mask.numel())


def _layer_bits(mask: Tensor, previous: Tensor | None) -> float:
    size = mask.numel()
    if previous is None:
        return size * entropy(int(mask.count_nonzero()) / size)
    ones = int(previous.count_nonzero())
    lost = int((previous & ~mask).count_nonzero())
    won = int((mask & ~previous).count_nonzero())
    return ones * entropy(lost / max(1, ones)) + (size - ones) * entropy(won / max(1, size - ones))
