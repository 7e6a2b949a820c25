"""Random numbers that are a node's own: generators by purpose and round, and torch's generator, lent for a moment."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator

import numpy as np
import torch

_ONE_AT_A_TIME = threading.RLock()


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
