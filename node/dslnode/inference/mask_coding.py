"""Codes a mask close to its entropy, given bits that foretell it: rANS in many lanes (Duda 2013), with numpy alone.

Every bit has a context: its layer, and the bit that a reference has in its place. A context has one probability, an
integer out of 2^16, so that every machine writes and reads the same bytes. Lanes take the bits in turn, each with a
state of its own. That is what makes it fast in numpy, and costs four bytes per lane.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dslnode.protocol.mask import MaskLayout

SCALE_BITS = 16
ONE = 1 << SCALE_BITS
"""The probability 1."""
LOWEST_STATE = 1 << 16
MAX_LANES = 128
BITS_PER_LANE = 2048
"""A mask has one lane for so many bits, up to ``MAX_LANES``."""
Value = TypeVar("Value", np.uint8, np.uint16)
Bits = NDArray[np.uint8]
"""One bit per entry, 0 or 1."""


@dataclass(frozen=True)
class CodedMask:
    """A mask as it is stored. ``probabilities`` are two per layer: of a one where the reference has 0, and 1."""

    probabilities: tuple[int, ...]
    data: bytes


def encode_mask(bits: Bits, reference: Bits, layout: MaskLayout) -> CodedMask:
    """Return a mask coded against a reference; both are of shape ``(layout.size,)``."""
    probabilities = _measure(bits, reference, layout)
    return CodedMask(probabilities, _encode(bits, _spread(probabilities, reference, layout)))


def decode_mask(coded: CodedMask, reference: Bits, layout: MaskLayout) -> Bits:
    """Return the bits, of shape ``(layout.size,)``. Raises ``ValueError`` if the data make no sense."""
    if len(coded.probabilities) != 2 * len(layout.layers):
        raise ValueError(f"{len(coded.probabilities)} probabilities instead of two for each of the layers")
    if not all(0 < share < ONE for share in coded.probabilities):
        raise ValueError("a probability is not between 0 and 1")
    return _decode(coded.data, _spread(coded.probabilities, reference, layout))


def _measure(bits: Bits, reference: Bits, layout: MaskLayout) -> tuple[int, ...]:
    """Return the share of ones in each context, out of ``ONE``, never 0 or 1."""
    shares = []
    for _, span in layout.spans():
        for value in (0, 1):
            chosen = bits[span][reference[span] == value]
            share = int(np.count_nonzero(chosen)) * ONE // len(chosen) if len(chosen) else ONE // 2
            shares.append(min(max(share, 1), ONE - 1))
    return tuple(shares)


def _spread(probabilities: Sequence[int], reference: Bits, layout: MaskLayout) -> NDArray[np.uint16]:
    """Return the probability of a one at each place, out of ``ONE``."""
    spread = np.empty(layout.size, np.uint16)
    for index, (_, span) in enumerate(layout.spans()):
        spread[span] = np.asarray(probabilities[2 * index : 2 * index + 2], np.uint16)[reference[span]]
    return spread


def _lanes(size: int) -> int:
    return min(MAX_LANES, max(1, size // BITS_PER_LANE))


def _in_lanes(values: NDArray[Value], lanes: int, filler: int) -> NDArray[Value]:
    """Return values as rows of one per lane; the last row is filled up."""
    missing = -len(values) % lanes
    padded = np.concatenate([values, np.full(missing, filler, values.dtype)])
    return padded.reshape(-1, lanes)


def _encode(bits: Bits, ones: NDArray[np.uint16]) -> bytes:
    lanes = _lanes(len(bits))
    rows, shares = _in_lanes(bits, lanes, 0), _in_lanes(ones, lanes, 1).astype(np.uint64)
    frequencies = np.where(rows == 1, shares, ONE - shares)
    starts = np.where(rows == 1, 0, shares).astype(np.uint64)
    state = np.full(lanes, LOWEST_STATE, np.uint64)
    words: list[NDArray[np.uint64]] = []
    for frequency, start in zip(frequencies[::-1], starts[::-1], strict=True):
        full = state >= frequency << np.uint64(16)
        words.append((state[full] & np.uint64(0xFFFF))[::-1])
        state[full] >>= np.uint64(16)
        whole, rest = np.divmod(state, frequency)
        state = (whole << np.uint64(SCALE_BITS)) + rest + start
    stream = np.concatenate(words)[::-1] if words else np.empty(0, np.uint64)
    return state.astype("<u4").tobytes() + stream.astype("<u2").tobytes()


def _decode(data: bytes, ones: NDArray[np.uint16]) -> Bits:
    lanes = _lanes(len(ones))
    if len(data) < 4 * lanes or len(data) % 2:
        raise ValueError("the coded mask is cut short")
    state = np.frombuffer(data, "<u4", lanes).astype(np.uint64)
    stream = np.frombuffer(data, "<u2", offset=4 * lanes).astype(np.uint64)
    shares = _in_lanes(ones, lanes, 1)
    rows = np.empty(shares.shape, np.uint8)
    position = 0
    for row, narrow in zip(rows, shares, strict=True):
        share = narrow.astype(np.uint64)  # here, since all at once take eight times the memory
        place = state & np.uint64(0xFFFF)
        is_one = place < share
        row[:] = is_one
        state = np.where(is_one, share, ONE - share) * (state >> np.uint64(SCALE_BITS)) + place
        state -= np.where(is_one, np.uint64(0), share)
        low = np.flatnonzero(state < LOWEST_STATE)
        following = stream[position : position + len(low)]
        if len(following) < len(low):
            raise ValueError("the coded mask is cut short")
        state[low] = (state[low] << np.uint64(16)) | following
        position += len(low)
    if position != len(stream) or (state != LOWEST_STATE).any():
        raise ValueError("the coded mask does not end where it should")
    return rows.reshape(-1)[: len(ones)].copy()
