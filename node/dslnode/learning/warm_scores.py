"""Scores from which a given mask follows, so that a learner can begin with another's model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dslnode.errors import ModelError
from dslnode.learning.frozen_network import FrozenNetwork
from dslnode.learning.initialization import seeded_scores

THRESHOLDS = 33
"""Between how many thresholds the best one is chosen, where weights share scores."""
MARGIN = 0.05
"""How far a shared score goes beyond its bound, of the layer's largest seeded score."""
Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


def warm_scores(network: FrozenNetwork, mask: Flags, seed: int, *, signed: bool) -> Tensor:
    """Return scores (scores,) from which ``mask`` bool (weights,) follows, or nearly so where weights share scores.

    Each layer keeps its seeded scores; they change places, so that the highest are at what the mask keeps. ``signed``
    says whether scores themselves are ranked, or their sizes.
    """
    seeded = seeded_scores(network.layout, seed).numpy()
    scores = np.zeros(network.score_layout.size, np.float32)
    for (layer, span), (own, own_span) in zip(network.layout.spans(), network.score_layout.spans(), strict=True):
        if own == layer:
            wanted = _rearranged(seeded[span], mask[span], signed=signed)
            scores[own_span] = wanted if network.sharing is None else wanted - seeded[span]
        elif not signed:
            raise ModelError(f"--from: {layer.name} has shared scores without a sign; give --signed-scores")
        else:
            assert network.sharing is not None
            scores[own_span] = _shared(
                _SharedLayer(
                    owners=np.arange(layer.size) % own.size,
                    signs=network.sharing.signs.numpy()[span],
                    seeded=seeded[span],
                    mask=mask[span],
                    count=own.size,
                )
            )
    return torch.from_numpy(scores)


def _rearranged(seeded: Floats, mask: Flags, *, signed: bool) -> Floats:
    """Return the seeded scores of a layer in other places: each part of the mask keeps its own order."""
    sizes = seeded if signed else np.abs(seeded)
    ranked = np.sort(sizes)
    wanted, kept = np.empty_like(sizes), int(mask.sum())
    for part, values in ((~mask, ranked[: len(ranked) - kept]), (mask, ranked[len(ranked) - kept :])):
        places = np.flatnonzero(part)
        wanted[places[np.argsort(sizes[places], kind="stable")]] = values
    return wanted if signed else wanted * np.where(seeded < 0, np.float32(-1), np.float32(1))


@dataclass(frozen=True, eq=False, kw_only=True)
class _SharedLayer:
    """A layer whose weights share ``count`` scores: owner, sign, seeded score and mask of each weight, (weights,)."""

    owners: NDArray[np.int64]
    signs: Floats
    seeded: Floats
    mask: Flags
    count: int

    @property
    def largest(self) -> float:
        """The largest size of a seeded score."""
        return float(np.abs(self.seeded).max())

    @property
    def usual_threshold(self) -> float:
        """The lowest seeded score that would be kept."""
        kept = int(self.mask.sum())
        return -self.largest if kept == len(self.mask) else float(np.sort(self.seeded)[len(self.mask) - kept])


def _shared(layer: _SharedLayer) -> Floats:
    """Return a layer's shared scores: of several thresholds, by the one at which most weights are as in the mask."""
    best, fewest = np.zeros(layer.count, np.float32), len(layer.mask) + 1
    first = layer.usual_threshold
    for threshold in np.linspace(first, first + layer.largest, THRESHOLDS, dtype=np.float32):
        scores = _at_threshold(layer, threshold)
        wrong = int(((layer.seeded + layer.signs * scores[layer.owners] >= threshold) != layer.mask).sum())
        if wrong < fewest:
            best, fewest = scores, wrong
    return best


def _at_threshold(layer: _SharedLayer, threshold: np.float32) -> Floats:
    """Return scores (count,) that bring their weights above the threshold or below it, as the mask says.

    Each weight bounds its score from below or above; of bounds that contradict each other the middle is taken.
    """
    margin = MARGIN * layer.largest
    bounds, from_below = (threshold - layer.seeded) * layer.signs, layer.mask == (layer.signs > 0)
    low, high = np.full(layer.count, -np.inf, np.float32), np.full(layer.count, np.inf, np.float32)
    np.maximum.at(low, layer.owners[from_below], bounds[from_below])
    np.minimum.at(high, layer.owners[~from_below], bounds[~from_below])
    inside = np.minimum(np.maximum(0, low + margin), high - margin)
    with np.errstate(invalid="ignore"):
        scores: Floats = np.where(high - low < 2 * margin, (low + high) / 2, inside).astype(np.float32)
    return scores
