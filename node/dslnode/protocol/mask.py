"""Masks: one bit per frozen weight (or per score), in the order that a layout fixes for all nodes.

Packed masks are little-endian: weight ``i`` of the layout is bit ``i % 8``, least significant first, of byte
``i // 8``. The bits after the last weight are zero.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from bitarray import frozenbitarray
from bitarray.util import count_xor


@dataclass(frozen=True)
class MaskLayer:
    """One maskable tensor of the model: its parameter name, and its shape with the outputs first."""

    name: str
    shape: tuple[int, ...]

    @cached_property
    def size(self) -> int:
        """Number of weights, and so of bits."""
        return math.prod(self.shape)

    @cached_property
    def fan_in(self) -> int:
        """Number of inputs that one output (a unit, a channel) sums over."""
        return math.prod(self.shape[1:])


@dataclass(frozen=True)
class MaskLayout:
    """The maskable tensors of a model in their fixed order. It says which weight bit ``i`` of a mask stands for."""

    layers: tuple[MaskLayer, ...]

    @cached_property
    def size(self) -> int:
        """Number of bits of a mask over this layout."""
        return sum(layer.size for layer in self.layers)

    @cached_property
    def byte_size(self) -> int:
        """Number of bytes of a packed mask."""
        return (self.size + 7) // 8

    def spans(self) -> Iterator[tuple[MaskLayer, slice]]:
        """Yield each layer with its span of bits."""
        start = 0
        for layer in self.layers:
            yield layer, slice(start, start + layer.size)
            start += layer.size

    @cached_property
    def digest(self) -> bytes:
        """16 bytes of blake2b over names and shapes: equal if bits stand for the same weights."""
        text = "\n".join(f"{layer.name} {'x'.join(map(str, layer.shape))}" for layer in self.layers)
        return hashlib.blake2b(text.encode(), digest_size=16).digest()


@dataclass(frozen=True)
class Mask:
    """An immutable bit array over a layout. In a keep mask, 1 keeps the frozen weight and 0 drops it.

    Raises ``ValueError`` if the number of bits is not the layout's or the bit order is not little-endian.
    """

    layout: MaskLayout
    bits: frozenbitarray

    def __post_init__(self) -> None:
        if len(self.bits) != self.layout.size:
            raise ValueError(f"a mask of {len(self.bits)} bits does not fit a layout of {self.layout.size}")
        if self.bits.endian != "little":
            raise ValueError("mask bits must be little-endian")

    @classmethod
    def from_bytes(cls, layout: MaskLayout, packed: bytes) -> Mask:
        """Read a packed mask; ``ValueError`` if its length is wrong or a padding bit is set."""
        if len(packed) != layout.byte_size:
            raise ValueError(f"{len(packed)} bytes instead of {layout.byte_size} for {layout.size} weights")
        padding = layout.size % 8
        if padding and packed[-1] >> padding:
            raise ValueError("padding bits after the last weight are not zero")
        return cls(layout, frozenbitarray(_unpadded(packed, layout.size)))

    def to_bytes(self) -> bytes:
        """Return the packed mask: ``layout.byte_size`` bytes."""
        return self.bits.tobytes()

    @cached_property
    def ones(self) -> int:
        """Number of weights kept."""
        return self.bits.count()

    @property
    def density(self) -> float:
        """Fraction of ones over all layers, 0 to 1."""
        return self.ones / max(1, self.layout.size)

    def layer_counts(self) -> tuple[int, ...]:
        """Number of ones in each layer."""
        return tuple(self.bits.count(1, span.start, span.stop) for _, span in self.layout.spans())

    def layer_densities(self) -> dict[str, float]:
        """Fraction of ones in each layer, by layer name."""
        return {
            layer.name: count / max(1, layer.size)
            for layer, count in zip(self.layout.layers, self.layer_counts(), strict=True)
        }

    def distance(self, other: Mask) -> int:
        """Hamming distance: the number of weights on which the two masks differ."""
        return count_xor(self.bits, other.bits)

    def agreement(self, other: Mask) -> float:
        """Fraction of weights on which the two masks agree, 0 to 1."""
        return 1 - self.distance(other) / max(1, self.layout.size)


def _unpadded(packed: bytes, size: int) -> frozenbitarray:
    bits = frozenbitarray(buffer=packed, endian="little")
    return bits[:size]
