"""The mask of scores and neighbour mean: top-k of the intermediate aggregation tensor (paper, step 3)."""

from __future__ import annotations

from torch import Tensor

from dslnode.learning.aggregation import aggregation_term, intermediate_aggregation_tensor
from dslnode.learning.frozen_network import FrozenNetwork
from dslnode.learning.graded_mask import graded_strengths
from dslnode.learning.group_sparsity import ChannelScales, drop_thin_channels
from dslnode.learning.masking import near_top_k, top_k
from dslnode.learning.options import TrainingOptions
from dslnode.learning.state import LearnerState


def aggregation_tensor(network: FrozenNetwork, state: LearnerState, options: TrainingOptions) -> Tensor:
    """Return the intermediate aggregation tensor of the averaged scores and the present neighbour mean."""
    scores = network.expand_scores(state.average)
    term = aggregation_term(scores, state.neighbour_mean, options.alpha * state.collaboration_weight, network.layout)
    return intermediate_aggregation_tensor(scores, term, signed=options.signed_scores)


def choose_mask(network: FrozenNetwork, tensor: Tensor, channels: ChannelScales, options: TrainingOptions) -> Tensor:
    """Return the mask of an intermediate aggregation tensor: top-k a layer, then the structured step if it is on.

    A channel that the group lasso emptied keeps nothing, whatever the neighbours keep. The others keep what they would
    have kept beside it: if they took over its weights, a few would keep all they have, and nothing would be left to
    choose.
    """
    keep = top_k(tensor, network.layout, network.counts)
    if options.group_lasso:
        keep &= channels.of_weights(network.layout, whole=True) > 0
    if options.min_channel_fraction:
        keep = drop_thin_channels(keep, network.layout, network.counts, options.min_channel_fraction)
    return keep


def training_mask(
    network: FrozenNetwork,
    tensor: Tensor,
    channels: ChannelScales,
    options: TrainingOptions,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Return what the weights are multiplied by in training, (weights,): about the mask, or graded, float32 strengths.

    ``out`` is overwritten on the way, and may be the intermediate aggregation ``tensor`` itself. Thresholds of
    large layers are those of a sample. With the structured step, or in the paper's form, the mask is exact; it
    multiplies strengths. With the group lasso, the scales of channels multiply both.
    """
    exact = options.min_channel_fraction or not options.signed_scores
    keep = choose_mask(network, tensor, channels, options) if exact else None
    if options.power:
        graded = graded_strengths(network, tensor, options, out=out)
        found = graded if keep is None else graded * keep
    else:
        found = near_top_k(tensor, network.layout, network.counts) if keep is None else keep
    if not options.group_lasso:
        return found
    return found * channels.of_weights(network.layout, whole=options.whole_channels)
