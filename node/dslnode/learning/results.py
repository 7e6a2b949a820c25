"""What a round of learning gives, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dslnode.protocol.mask import Mask


@dataclass(frozen=True)
class Progress:
    """Result of local training: mean loss a sample and fraction of right answers over the minibatches seen."""

    loss: float
    accuracy: float
    steps: int


@dataclass(frozen=True)
class TrainedRound:
    """What local training gave: the mask to send, how it went, and the part of each layer's bits that flipped."""

    mask: Mask
    progress: Progress
    flips: Mapping[str, float]
    flipped: float  # of the whole mask's bits
    seconds: float


@dataclass(frozen=True)
class AggregatedRound:
    """What aggregation gave: the neighbours' masks, and the personal model's accuracy on held-out data if measured.

    ``held_out`` is 0 to 1. ``collaboration_weight``, 0 to 1, is how far the node leans on its neighbours from now on.
    ``restarts`` counts how often replicas of scores were reset since the node's start.
    """

    masks: Mapping[str, Mask]
    held_out: float | None
    collaboration_weight: float
    restarts: int
    seconds: float
