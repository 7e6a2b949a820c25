"""A node's examples as tensors, and the minibatches that are cut from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dslnode.data.dataset import Examples

Batches = Iterator[tuple[Tensor, Tensor]]
"""Inputs, float32 (batch, *input_shape), and what the task compares outputs with: labels, int64 (batch,), or values."""


class ExampleTensors:
    """A node's examples as tensors, stored as they came; minibatches are float32 (batch, *input_shape)."""

    def __init__(self, stored: Tensor, targets: Tensor, full_scale: float) -> None:
        self._stored = stored
        self._targets = targets
        self._full_scale = full_scale

    @classmethod
    def of(cls, examples: Examples, targets: NDArray[Any]) -> ExampleTensors:
        """Return what a data set holds, and what outputs are compared with, (n,) or (n, ...); nothing is copied."""
        return cls(torch.from_numpy(examples.stored), torch.from_numpy(targets), examples.full_scale)

    def __len__(self) -> int:
        return len(self._targets)

    def at(self, chosen: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Return the chosen inputs and targets; what is stored may be read-only memory."""
        return torch.div(self._stored[chosen].float(), self._full_scale), self._targets[chosen]

    def thinned(self, count: int) -> ExampleTensors:
        """Return at most ``count`` of them, spread evenly over all."""
        if len(self) <= count:
            return self
        chosen = torch.arange(count) * len(self) // count
        return ExampleTensors(self._stored[chosen], self._targets[chosen], self._full_scale)

    def parts(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield all inputs and targets in order, at most ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self.at(slice(start, start + size))


def minibatches(examples: ExampleTensors, size: int, draws: np.random.Generator) -> Batches:
    """Yield minibatches of ``size`` examples, or all if there are fewer, without end: shuffled epochs by ``draws``."""
    count = len(examples)
    size = min(size, count)
    while True:
        order = torch.from_numpy(draws.permutation(count))
        for start in range(0, count - size + 1, size):
            yield examples.at(order[start : start + size])
