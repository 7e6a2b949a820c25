"""All random numbers: streams of integers for what nodes must agree on, generators for what is the own of a node."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator

import numpy as np
import torch

_ONE_AT_A_TIME = threading.RLock()


def raw_words(purpose: str, seed: int, index: int, size: int) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """Return ``size`` random 32-bit integers for one purpose and layer."""
    words = _stream(purpose, seed, index).random_raw((size + 1) // 2).astype("<u8").view("<u4")
    return words[:size].astype(np.uint32)


def random_bits(purpose: str, seed: int, index: int, size: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Return ``size`` random bits, a byte each, for one purpose and layer."""
    words = _stream(purpose, seed, index).random_raw((size + 63) // 64).astype("<u8")
    return np.unpackbits(words.view(np.uint8), count=size, bitorder="little")


def _stream(purpose: str, seed: int, index: int) -> np.random.Philox:
    key = hashlib.blake2b(f"dslnode {purpose} {seed} {index}".encode(), digest_size=16).digest()
    return np.random.Philox(key=np.frombuffer(key, dtype="<u8").astype(np.uint64))


@contextlib.contextmanager
def seeded_torch(seed: int) -> Iterator[None]:
    """Let torch draw from this seed meanwhile; its own generator then goes on as if nothing had been drawn."""
    with borrowed_torch():
        torch.default_generator.manual_seed(seed)
        yield


@contextlib.contextmanager
def borrowed_torch() -> Iterator[None]:
    """Give torch's generator back as it was. One thread at a time has it: two nodes may live in one process."""
    with _ONE_AT_A_TIME, torch.random.fork_rng(devices=()):
        yield


def torch_draws(purpose: str, seed: int, number: int) -> contextlib.AbstractContextManager[None]:
    """Let what a model itself draws from torch (dropout) follow from the round, so that a restart repeats it."""
    return seeded_torch(int(generator(f"torch in {purpose}", seed, number).integers(2**63)))


def generator(purpose: str, seed: int, number: int) -> np.random.Generator:
    """Return the generator of one purpose, node and round: what it draws depends on nothing else."""
    key = hashlib.blake2b(f"dslnode {purpose} {seed} {number}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(key, "little")))
