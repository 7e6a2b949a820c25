"""The mask of scores and neighbour mean: top-k of the intermediate aggregation tensor (paper, step 3)."""

from __future__ import annotations

import math

from torch import Tensor

from dslnode.learning.aggregation import aggregation_term, intermediate_aggregation_tensor
from dslnode.learning.frozen_network import FrozenNetwork
from dslnode.learning.graded_mask import graded_strengths
from dslnode.learning.group_sparsity import dead_channels, drop_thin_channels, living_counts
from dslnode.learning.masking import near_top_k, top_k
from dslnode.learning.options import TrainingOptions
from dslnode.learning.state import LearnerState


def aggregation_tensor(network: FrozenNetwork, state: LearnerState, options: TrainingOptions) -> Tensor:
    """Return the intermediate aggregation tensor of the averaged scores and the present neighbour mean."""
    scores = network.expand_scores(state.average)
    term = aggregation_term(scores, state.neighbour_mean, options.alpha * state.collaboration_weight, network.layout)
    return intermediate_aggregation_tensor(scores, term, signed=options.signed_scores)


def choose_mask(network: FrozenNetwork, tensor: Tensor, scores: Tensor, options: TrainingOptions) -> Tensor:
    """Return the mask of an intermediate aggregation tensor: top-k a layer, then the structured step if it is on.

    A channel that the group lasso emptied keeps nothing, whatever the neighbours keep: only the node's own scores
    decide which channels stay (the lasso goes with a score for each weight). The keep ratio holds among the others: if
    they took over its weights, a few living channels would keep all they have, and there would be nothing left to
    choose.
    """
    counts = network.counts
    if options.group_lasso:
        dead = dead_channels(scores, network.layout)
        tensor, counts = tensor.masked_fill(dead, -math.inf), living_counts(dead, network.layout, counts)
    keep = top_k(tensor, network.layout, counts)
    if options.min_channel_fraction:
        keep = drop_thin_channels(keep, network.layout, network.counts, options.min_channel_fraction)
    return keep


def training_mask(network: FrozenNetwork, tensor: Tensor, scores: Tensor, options: TrainingOptions) -> Tensor:
    """Return what the weights are multiplied by in training, (weights,): about the mask, or graded, float32 strengths.

    Thresholds of large layers are those of a sample. With structured sparsity, or in the paper's form, the mask is
    exact; it multiplies strengths.
    """
    structured = options.group_lasso or options.min_channel_fraction
    exact = structured or not options.signed_scores
    keep = choose_mask(network, tensor, scores, options) if exact else None
    if options.power:
        graded = graded_strengths(network, tensor, options.power)
        return graded if keep is None else graded * keep
    return near_top_k(tensor, network.layout, network.counts) if keep is None else keep
