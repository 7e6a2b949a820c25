"""Values as C99 text: arrays, numbers that are read as the same float32, strings that nothing ends."""

from __future__ import annotations

import math
import string
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dslnode.errors import ModelError

BYTES_PER_LINE = 24
NUMBERS_PER_LINE = 8
PLAIN = (string.ascii_letters + string.digits + " .-_").encode()
"""Characters that stand for themselves in a string constant."""


def bit_array(name: str, bits: NDArray[np.generic]) -> str:
    """Return an array of bits, the first in the lowest bit of the first byte. C has no empty arrays: one byte then."""
    packed = np.packbits(bits.astype(np.uint8), bitorder="little").tobytes() or b"\0"
    return array(f"static const uint8_t {name}[{len(packed)}]", map(str, packed), BYTES_PER_LINE)


def level_array(name: str, codes: NDArray[np.uint8], width: int) -> str:
    """Return an array of numbers of ``width`` bits each, the lowest first; a byte more lets pairs be read."""
    bits = np.unpackbits(codes[:, None], axis=1, count=width, bitorder="little")
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes() + b"\0"
    return array(f"static const uint8_t {name}[{len(packed)}]", map(str, packed), BYTES_PER_LINE)


def array(declaration: str, values: Iterable[str], per_line: int = NUMBERS_PER_LINE) -> str:
    entries = list(values)
    lines = (", ".join(entries[start : start + per_line]) for start in range(0, len(entries), per_line))
    return f"{declaration} = {{\n    " + ",\n    ".join(lines) + "\n};"


def float_constant(value: float | np.floating) -> str:
    """Return a float32 constant that is read as the same float32. ``ModelError`` for one that is no number."""
    stored = float(np.float32(value))
    if not math.isfinite(stored):
        raise ModelError(f"the model holds the value {value}, which is no number; export another round")
    text = f"{stored:.9g}"
    return (text if {".", "e"} & set(text) else f"{text}.0") + "f"


def string_constant(text: str) -> str:
    """Return a string constant; all but plain characters as octal bytes, so that nothing ends it."""
    plain = [chr(byte) if byte in PLAIN else f"\\{byte:03o}" for byte in text.encode()]
    return '"' + "".join(plain) + '"'
