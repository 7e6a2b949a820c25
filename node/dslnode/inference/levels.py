"""Levels: how strong each kept weight of a personal model is, as a small whole number times one step a layer.

They are the node's own and never sent. Whole numbers keep a model's file small, and int8 arithmetic exact.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dslnode.protocol.mask import MaskLayout

Codes = NDArray[np.uint8]
"""One number per weight: 0 where it is not kept, else from 1 to ``HIGHEST``."""
HIGHEST = 127
"""The largest code, so that with its sign it is an int8."""
SAMPLED = 4096
"""Strengths of a layer, at least, by which its step is chosen."""


@dataclass(frozen=True, eq=False)
class Levels:
    """The strength of a weight is its code, of ``codes`` uint8 (weights,), times the step of its layer."""

    codes: Codes
    steps: tuple[float, ...]

    def strengths(self, layout: MaskLayout) -> NDArray[np.float32]:
        """Return the strengths, float32 (weights,)."""
        found = self.codes.astype(np.float32)
        for (_, span), step in zip(layout.spans(), self.steps, strict=True):
            found[span] *= np.float32(step)
        return found


def fitted_levels(strengths: NDArray[np.float32], kept: NDArray[np.bool_], layout: MaskLayout, highest: int) -> Levels:
    """Return the levels up to ``highest`` (1 to 127) with the least squared error of the kept weights' strengths.

    ``strengths`` and ``kept`` are (weights,). Equal strengths of a layer become the code 1 and are exact.
    """
    codes, steps = np.zeros(layout.size, np.uint8), []
    for _, span in layout.spans():
        own = strengths[span][kept[span]]
        step = _best_step(own, highest)
        codes[span][kept[span]] = _codes(own, step, highest)
        steps.append(step)
    return Levels(codes, tuple(steps))


def encode_codes(codes: Codes) -> bytes:
    """Return the codes of the kept weights as a zlib stream, a byte each before it; it has Huffman codes alone."""
    packer = zlib.compressobj(9, strategy=zlib.Z_HUFFMAN_ONLY)
    return packer.compress(codes[codes > 0].tobytes()) + packer.flush()


def decode_codes(data: bytes, mask: NDArray[np.uint8]) -> Codes:
    """Return the codes (weights,) of the weights that a mask of bits (weights,) keeps. Raises ``ValueError``."""
    kept = int(np.count_nonzero(mask))
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(data, kept + 1)
    except zlib.error as error:
        raise ValueError("has levels that cannot be read; export the model again") from error
    if len(found) != kept or not inflater.eof or inflater.unused_data:
        raise ValueError("has levels for another number of weights than its mask keeps; export the model again")
    numbers = np.frombuffer(found, np.uint8)
    if kept and not 1 <= numbers.min() <= numbers.max() <= HIGHEST:
        raise ValueError(f"has levels that are not from 1 to {HIGHEST}; export the model again")
    codes = np.zeros(len(mask), np.uint8)
    codes[mask == 1] = numbers
    return codes


def _best_step(strengths: NDArray[np.float32], highest: int) -> float:
    """Return the step of the least squared error among a few between one that cuts off much and one that nothing.

    The error is that of a sample.
    """
    largest = float(strengths.max(initial=0.0))
    if largest <= 0:
        return 1.0
    if float(strengths.min()) == largest:
        return largest
    sample = strengths[:: max(1, len(strengths) // SAMPLED)]
    return min(_steps_to_try(largest, highest), key=lambda step: _error(sample, step, highest))


def _steps_to_try(largest: float, highest: int) -> Sequence[float]:
    return [float(np.float32(largest / highest * share)) for share in np.linspace(0.3, 1, 15)]


def _error(strengths: NDArray[np.float32], step: float, highest: int) -> float:
    return float(np.square(strengths - _codes(strengths, step, highest) * np.float32(step)).sum())


def _codes(strengths: NDArray[np.float32], step: float, highest: int) -> NDArray[np.uint8]:
    codes: Codes = np.clip(np.rint(strengths / np.float32(step)), 1, highest).astype(np.uint8)
    return codes
