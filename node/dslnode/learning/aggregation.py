"""What a node makes of its neighbours' masks: neighbour mean and intermediate aggregation tensor (steps 1, 2).

Pure functions on flat float32 vectors of shape ``(layout.size,)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dslnode.learning.masking import from_mask
from dslnode.learning.options import RobustAggregation
from dslnode.learning.robust_aggregation import robust_weights
from dslnode.protocol.mask import Mask, MaskLayout


def neighbour_mean(layout: MaskLayout, masks: Sequence[tuple[Mask, float]]) -> Tensor:
    """Return the weighted mean of the neighbours' masks, entries 0 to 1; zeros if there are none.

    ``masks`` pairs each mask with its weight (at least 0); weights need not sum to 1.
    """
    return weighted_mean(layout.size, masks, from_mask)


def weighted_mean(size: int, masks: Sequence[tuple[Mask, float]], vector_of: Callable[[Mask], Tensor]) -> Tensor:
    """Return the weighted mean of a vector ``(size,)`` for each mask, one at a time; zeros if nobody has any weight."""
    total = sum(weight for _, weight in masks)
    mean = torch.zeros(size)
    if total <= 0:
        return mean
    for mask, weight in masks:
        mean.add_(vector_of(mask), alpha=weight / total)
    return mean


def robust_masks(
    masks: Sequence[tuple[Mask, float]],
    ground: Callable[[tuple[int, ...]], Tensor] | None,
    rule: RobustAggregation,
) -> list[tuple[Mask, float]]:
    """Return the masks to take the mean of, with the weights that ``rule`` leaves them.

    What a mask says is how it differs from ``ground`` of its counts a layer; without a ground, all of its bits.
    """

    def said(i: int) -> Tensor:
        mask = masks[i][0]
        bits = from_mask(mask)
        return bits if ground is None else bits - ground(mask.layer_counts())

    found = robust_weights(said, len(masks), [slice(None)], rule)
    return [(masks[i][0], masks[i][1] * factor) for i, (factor,) in found.items()]


def score_scales(scores: Tensor, layout: MaskLayout) -> Tensor:
    """Return each layer's mean absolute score, repeated over the layer's weights."""
    scales = torch.empty_like(scores)
    for _, span in layout.spans():
        scales[span] = scores[span].abs().mean()
    return scales


def aggregation_term(scores: Tensor, mean: Tensor, alpha: float, layout: MaskLayout) -> Tensor:
    """Return ``alpha * mean(|S|) * m``: what the neighbour mean adds to a score, a constant of the round."""
    return alpha * score_scales(scores, layout) * mean


def intermediate_aggregation_tensor(scores: Tensor, term: Tensor, *, signed: bool) -> Tensor:
    """Return what the mask ranks: the intermediate aggregation tensor T.

    Signed scores (the default): ``T = S + term``. The paper's form: ``|T|`` with ``T = S + sign(S) * term``,
    which is ``|S| + term`` where the term is never negative (a mean of masks, not of novelties).
    """
    return scores + term if signed else scores.abs() + term
