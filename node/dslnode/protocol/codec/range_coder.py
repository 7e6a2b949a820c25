"""Codes runs of bits with a known share of ones to bytes, close to their entropy, by a range coder.

Eight bits of a run are one symbol: a byte with ``c`` ones has the probability ``p^c (1 - p)^(8 - c)``. All
probabilities are computed with integers, so that every platform writes and reads the same bytes. The range coder is
``constriction``'s. Without that package ``AVAILABLE`` is false, and nodes agree on another codec.
"""

from __future__ import annotations

from functools import cache
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    import constriction

    AVAILABLE = True
except ImportError:  # pragma: no cover (tested in a process that cannot import it)
    AVAILABLE = False

Bits = NDArray[np.uint8]
"""One bit per entry, 0 or 1."""

ONE = 1 << 24
"""The probability 1. Shares of ones are integers out of this."""
STEPS = 16  # levels per halving of the share
RARE = 20 * STEPS  # the lowest share of ones is 2^-20, the highest 1 - 2^-20
LEVELS = 2 * (RARE - STEPS) + 1
EVEN = RARE - STEPS
"""The level of the share 1/2."""
COST_ONE = 1 << 16
"""The cost of one bit in the unit of ``run_costs``, which is 1/65536 bit."""


def level_share(level: int) -> int:
    """Return the share of ones at a level, 0 to ``LEVELS - 1``, out of ``ONE``."""
    if level > EVEN:
        return ONE - level_share(LEVELS - 1 - level)
    root = 1 << (24 * STEPS - (RARE - level))
    for _ in range(4):  # the 16th root
        root = isqrt(root)
    return root


def run_costs(ones: int, size: int) -> NDArray[np.int64]:
    """Return the cost of a run of bits at each level, in 1/65536 bits."""
    for_ones, for_zeros = _bit_costs()
    return ones * for_ones + (size - ones) * for_zeros


class Writer:
    """Codes numbers and runs of bits in sequence."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()

    def run(self, bits: Bits, level: int) -> None:
        """Code bits. The closer their share of ones is to that of ``level``, the shorter the code."""
        self._coder.encode(np.packbits(bits, bitorder="little").astype(np.int32), _byte_model(level))

    def number(self, value: int, weights: tuple[int, ...]) -> None:
        """Code a number from 0. Its probability is its weight out of the sum of ``weights``."""
        self._coder.encode(np.array([value], dtype=np.int32), _number_model(weights))

    def finish(self) -> bytes:
        """Return the fewest bytes that decode to what was coded. Zero bytes at the end are left out."""
        words = self._coder.get_compressed()
        count, (lower, width) = self._coder.pos()
        if len(words) == count + 1:
            words[-1] = _shortest(int(words[-1]), lower, width)
        return bytes(words.astype(">u4").tobytes()).rstrip(b"\0") or b"\0"


class Reader:
    """Reads what a ``Writer`` wrote, given the same levels and weights. Damaged bytes may give any numbers."""

    def __init__(self, data: bytes) -> None:
        padded = data + bytes(-len(data) % 4)
        self._coder = constriction.stream.queue.RangeDecoder(np.frombuffer(padded, dtype=">u4").astype(np.uint32))

    def run(self, size: int, level: int) -> Bits:
        """Return the next ``size`` bits. Raises ``ValueError`` if they cannot be read."""
        try:
            symbols = self._coder.decode(_byte_model(level), -(-size // 8))
        except AssertionError as error:
            raise ValueError("the coded bits make no sense") from error
        return np.unpackbits(symbols.astype(np.uint8), count=size, bitorder="little")

    def number(self, weights: tuple[int, ...]) -> int:
        """Return the next number. Raises ``ValueError`` if it cannot be read."""
        try:
            return int(self._coder.decode(_number_model(weights), 1)[0])
        except AssertionError as error:
            raise ValueError("the coded bits make no sense") from error


def _shortest(word: int, lower: int, width: int) -> int:
    """Return the 32-bit word with the most trailing zeros that decodes as the coder's last word does.

    As the upper half of 64 bits it has to lie in the coder's interval, on the same side of an overflow.
    """
    value = word << 32
    overflow = (value < lower) << 64
    for unit in (1 << 56, 1 << 48, 1 << 40):
        candidate = -(-lower // unit) * unit
        if candidate < lower + width and candidate >> 64 == overflow >> 64:
            return candidate >> 32 & 0xFFFFFFFF
    return word


@cache
def _byte_model(level: int) -> Any:
    """Return the model of a byte. All weights are integers below 2^53, which float64 holds exactly."""
    ones = level_share(level)
    weights = [(ones ** (count := byte.bit_count()) * (ONE - ones) ** (8 - count)) >> 142 for byte in range(256)]
    return constriction.stream.model.Categorical(np.array(weights, dtype=np.float64), lazy=True, perfect=False)


@cache
def _number_model(weights: tuple[int, ...]) -> Any:
    return constriction.stream.model.Categorical(np.array(weights, dtype=np.float64), lazy=True, perfect=False)


@cache
def _bit_costs() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    shares = [level_share(level) for level in range(LEVELS)]
    ones = np.array([_logarithm(ONE) - _logarithm(share) for share in shares])
    zeros = np.array([_logarithm(ONE) - _logarithm(ONE - share) for share in shares])
    return ones, zeros


def _logarithm(number: int) -> int:
    """Return the binary logarithm of a number below 2^32 in 1/65536, rounded down, by repeated squaring."""
    whole = number.bit_length() - 1
    fraction, result = number << (31 - whole), whole
    for _ in range(16):
        fraction = fraction * fraction >> 31
        result = 2 * result + (fraction >> 32)
        fraction >>= fraction >> 32
    return result
