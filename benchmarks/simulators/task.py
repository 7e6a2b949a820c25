"""What every simulator is given to do: parts of the data, a graph, the model and its local steps.

Of this project it imports nothing, so that environments without it can run it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

LOCAL_STEPS, BATCH_SIZE, RATE = 10, 32, 0.1
HIDDEN = 256


@dataclass(frozen=True, eq=False)
class Task:
    """Examples of all parts, one part after the other, and the edges of the graph.

    ``inputs`` float32 (n, features), ``labels`` int64 (n,), ``starts`` int64 (parts + 1,): where each part begins, and
    the end of the last; ``edges`` int64 (m, 2): pairs of node numbers. Nodes take the parts in turn.
    """

    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]
    starts: NDArray[np.int64]
    edges: NDArray[np.int64]

    def part(self, node: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a node's inputs and labels."""
        number = node % (len(self.starts) - 1)
        rows = slice(int(self.starts[number]), int(self.starts[number + 1]))
        return torch.from_numpy(self.inputs[rows]), torch.from_numpy(self.labels[rows])


def write_task(
    file: Path,
    parts: Sequence[tuple[NDArray[np.float32], NDArray[np.int64]]],
    edges: Sequence[tuple[int, int]],
) -> None:
    """Write the parts, each its inputs (n, ...) and labels (n,), and the edges as an npz file."""
    np.savez(
        file,
        inputs=np.concatenate([inputs.reshape(len(inputs), -1) for inputs, _ in parts]),
        labels=np.concatenate([labels for _, labels in parts]),
        starts=np.cumsum([0, *(len(labels) for _, labels in parts)]),
        edges=np.array(edges, np.int64).reshape(-1, 2),
    )


def read_task(file: Path) -> Task:
    """Return what ``write_task`` wrote."""
    with np.load(file, allow_pickle=False) as arrays:
        return Task(arrays["inputs"], arrays["labels"], arrays["starts"], arrays["edges"])


def build_mlp(features: int = 64, classes: int = 10) -> nn.Module:
    """Return the network that ours has for digits: one hidden layer of ReLU units."""
    return nn.Sequential(nn.Linear(features, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, classes))


def train(model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> float:
    """Take the local steps of one round: plain SGD, the cheapest; return the last loss."""
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    loss = torch.zeros(())
    for _ in range(LOCAL_STEPS):
        rows = torch.randint(len(labels), (BATCH_SIZE,))
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs[rows]), labels[rows])
        loss.backward()
        optimizer.step()
    return float(loss.detach())


def accuracy(model: nn.Module, task: Task) -> float:
    """Return the part of all training examples that the model knows: whether it has learned at all."""
    with torch.no_grad():
        found = model(torch.from_numpy(task.inputs)).argmax(1).numpy()
    return float((found == task.labels).mean())
