"""Streams of random integers that follow from a seed: Philox (Salmon et al. 2011), the same bits on every machine."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def raw_words(purpose: str, seed: int, index: int, size: int) -> NDArray[np.uint32]:
    """Return ``size`` random 32-bit integers for one purpose and layer."""
    words = _stream(purpose, seed, index).random_raw((size + 1) // 2).astype("<u8", copy=False).view("<u4")
    return words[:size].astype(np.uint32, copy=False)


def random_bits(purpose: str, seed: int, index: int, size: int) -> NDArray[np.uint8]:
    """Return ``size`` random bits, a byte each, for one purpose and layer."""
    words = _stream(purpose, seed, index).random_raw((size + 63) // 64).astype("<u8", copy=False)
    return np.unpackbits(words.view(np.uint8), count=size, bitorder="little")


def _stream(purpose: str, seed: int, index: int) -> np.random.Philox:
    key = hashlib.blake2b(f"dslnode {purpose} {seed} {index}".encode(), digest_size=16).digest()
    return np.random.Philox(key=np.frombuffer(key, dtype="<u8").astype(np.uint64))
