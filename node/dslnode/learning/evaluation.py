"""What a network under a mask answers to held-out examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from dslnode.learning.frozen_network import FrozenNetwork
from dslnode.learning.tasks.task import Array, LearningTask

EVALUATION_BATCH = 256  # examples that are measured at a time


def never() -> bool:
    """Return False: the work goes on."""
    return False


@dataclass(frozen=True, eq=False)
class Answers:
    """Predictions of examples beside their targets, one row each."""

    predictions: Array
    targets: Array


@torch.no_grad()
def evaluate(
    network: FrozenNetwork,
    factors: Tensor,
    task: LearningTask,
    batches: Iterable[tuple[Tensor, Tensor]],
    stop: Callable[[], bool],
) -> Answers | None:
    """Return the answers to all batches, the weights times factors (weights,); None if ``stop`` ends it early."""
    network.model.eval()
    kept = network.masked_weights(factors)
    predictions, wanted = [], []
    for inputs, targets in batches:
        if stop():
            return None
        predictions.append(task.predictions(network.run(kept, inputs), inputs))
        wanted.append(targets)
    return Answers(torch.cat(predictions).numpy(), torch.cat(wanted).numpy())
