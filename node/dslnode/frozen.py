"""The frozen network that all nodes share, and how many weights listen to one score.

Where several weights share a score, the score moves each of them from its seeded place, up or down as a seeded sign
says (the hashing trick: Chen et al. 2015). Fewer scores are fewer bits to exchange and less for small data to
overfit, while every weight's mask bit can still change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dslnode.mask import MaskLayer, MaskLayout
from dslnode.masking import kept_weights, random_bits, raw_words, seeded_scores, tensors_of

SMALL_LAYER = 16_384
"""Layers of at most so many weights have a score for each; larger ones have at least so many scores."""


@dataclass(frozen=True)
class ScoreSharing:
    """Which score each weight listens to, all drawn from the seed.

    ``owners`` int64, ``signs`` and ``seeded`` float32, all of shape ``(weights,)``.
    """

    owners: Tensor
    signs: Tensor
    seeded: Tensor


@dataclass(frozen=True)
class FrozenNetwork:
    """The model every node shares: the untouched skeleton, its layouts, frozen weights and keep counts a layer.

    ``logit_offset`` of shape ``(classes,)`` is added to the model's output: 0, or very negative for the classes
    that this node does not answer.
    """

    model: nn.Module
    layout: MaskLayout  # the weights: what the bits of a keep mask stand for
    score_layout: MaskLayout  # the scores: what the bits of a sign mask stand for
    sharing: ScoreSharing | None  # None: every weight has a score of its own
    weights: Tensor
    counts: tuple[int, ...]
    logit_offset: Tensor

    def spread(self, scores: Tensor) -> Tensor:
        """Return each weight's score S, shape ``(layout.size,)``."""
        if self.sharing is None:
            return scores
        shared = scores.index_select(0, self.sharing.owners)  # a third of the time of indexing with brackets
        return torch.addcmul(self.sharing.seeded, self.sharing.signs, shared)

    def kept(self, keep: Tensor) -> dict[str, Tensor]:
        """Return what the model runs on under a mask, by parameter name: the weights where ``keep`` is true, else 0."""
        return tensors_of(kept_weights(self.weights, keep), self.layout)

    def gather(self, gradient: Tensor) -> Tensor:
        """Return the gradient at the scores, shape ``(score_layout.size,)``, from that at each weight's score."""
        if self.sharing is None:
            return gradient
        gathered = torch.zeros(self.score_layout.size)
        return gathered.scatter_add_(0, self.sharing.owners, gradient * self.sharing.signs)


def shared_layout(layout: MaskLayout, weights_per_score: int) -> MaskLayout:
    """Return the layout of the scores; layers with shared scores have the shape ``(count,)``."""

    def shared(layer: MaskLayer) -> MaskLayer:
        count = max(-(-layer.size // weights_per_score), min(layer.size, SMALL_LAYER))
        return layer if count == layer.size else MaskLayer(layer.name, (count,))

    return MaskLayout(tuple(map(shared, layout.layers)))


def draw_sharing(layout: MaskLayout, scores: MaskLayout, seed: int) -> ScoreSharing | None:
    """Draw which weights share a score: in a shuffled layer, every so many; None if every weight has its own."""
    if scores == layout:
        return None
    owners, signs = np.empty(layout.size, np.int64), np.ones(layout.size, np.float32)
    for index, ((layer, span), (score_layer, scores_span)) in enumerate(
        zip(layout.spans(), scores.spans(), strict=True)
    ):
        places = np.arange(layer.size)
        if layer != score_layer:
            places = np.argsort(raw_words("score owners", seed, index, layer.size), kind="stable")
            signs[span] -= 2 * random_bits("score signs", seed, index, layer.size).astype(np.float32)
        owners[span] = scores_span.start + places % score_layer.size
    return ScoreSharing(torch.from_numpy(owners), torch.from_numpy(signs), seeded_scores(layout, seed))
