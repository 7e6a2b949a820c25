"""The accuracy of a network under a mask."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from dslnode.learning.frozen_network import FrozenNetwork

EVALUATION_BATCH = 256  # examples that are measured at a time


@torch.no_grad()
def evaluate(
    network: FrozenNetwork, keep: Tensor, batches: Iterable[tuple[Tensor, Tensor]], stop: Callable[[], bool]
) -> float | None:
    """Return the accuracy, 0 to 1, of the network under a mask over all batches; None if ``stop`` ends it early."""
    network.model.eval()
    kept = network.masked_weights(keep)
    right = seen = 0
    for images, labels in batches:
        if stop():
            return None
        logits = network.run(kept, images)
        right += int((logits.argmax(dim=1) == labels).sum())
        seen += len(labels)
    return right / max(1, seen)
