"""What a node makes of its neighbours' masks and scores (paper, steps 1, 2 and 5): pure functions.

Vectors are flat float32 of shape (weights,), unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dslnode.learning.initial_masks import InitialMasks
from dslnode.learning.masking import WeightedMask, from_mask, weighted_mean
from dslnode.learning.options import RobustAggregation, TrainingOptions
from dslnode.learning.robust_aggregation import robust_weights
from dslnode.learning.state import LearnerState
from dslnode.protocol.mask import MaskLayout

HALF_WEIGHT_EXAMPLES = 1_000
"""A node with so many training examples moves half as far towards its neighbours' scores as one with hardly any."""


def neighbour_mean(layout: MaskLayout, masks: Sequence[WeightedMask]) -> Tensor:
    """Return the weighted mean m of the neighbours' masks, entries 0 to 1; zeros if there are none (step 1)."""
    return weighted_mean(layout.size, masks, from_mask)


def mask_novelty(mean: Tensor, masks: Sequence[WeightedMask], initial_masks: InitialMasks) -> Tensor:
    """Return the novelty n: the neighbour mean minus the mean of these neighbours' initial masks."""
    return mean - initial_masks.mean(masks)


def robust_masks(
    masks: Sequence[WeightedMask],
    initial_mask: Callable[[tuple[int, ...]], Tensor] | None,
    rule: RobustAggregation,
) -> list[WeightedMask]:
    """Return the masks to take the mean of, with the weights that ``rule`` leaves them.

    What is compared is how a mask differs from the ``initial_mask`` of its counts; without that, all its bits.
    """

    def difference(i: int) -> Tensor:
        mask = masks[i][0]
        bits = from_mask(mask)
        return bits if initial_mask is None else bits - initial_mask(mask.layer_counts())

    weights = robust_weights(difference, len(masks), [slice(None)], rule)
    return [(masks[i][0], masks[i][1] * factor) for i, (factor,) in weights.items()]


def staleness_weight(staleness: int) -> float:
    """Return how much a mask counts that arrived so many rounds ago: half as much with every round."""
    return float(0.5**staleness)


def with_neighbour_mean(state: LearnerState, mean: Tensor, decay: float) -> LearnerState:
    """Return the state after a new neighbour mean; ``decay`` is the part of the old one that stays."""
    return replace(state, neighbour_mean=(state.neighbour_mean * decay).add_(mean, alpha=1 - decay))


def consensus_step_size(options: TrainingOptions, collaboration_weight: float, examples: int) -> float:
    """Return how far the scores move to the neighbours', 0 to 1, on a node with so many training examples.

    A node with many examples of its own has less to gain from its neighbours' scores.
    """
    return collaboration_weight * options.consensus_step_size / (1 + examples / HALF_WEIGHT_EXAMPLES)


def aggregation_term(scores: Tensor, mean: Tensor, alpha: float, layout: MaskLayout) -> Tensor:
    """Return ``alpha * mean(|S|) * mean``: what the neighbours add to a score, a constant of the round.

    ``mean(|S|)`` is that of each layer. ``mean`` is the running novelty n by default, the neighbour mean m without
    ``mask_novelty``.
    """
    term = torch.empty_like(mean)
    for _, span in layout.spans():
        torch.mul(mean[span], alpha * float(scores[span].abs().mean()), out=term[span])
    return term


def intermediate_aggregation_tensor(scores: Tensor, term: Tensor, *, signed: bool) -> Tensor:
    """Return what the mask ranks: the intermediate aggregation tensor T.

    Signed scores (the default): ``T = S + term``. The paper's form: ``|T|`` with ``T = S + sign(S) * term``,
    which is ``|S| + term`` where the term is never negative (a mean of masks, not of novelties).
    """
    return scores + term if signed else scores.abs() + term
