"""Personalised fine-tuning with the new mean of the neighbours' masks (paper, step 6)."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from dslnode.learning.batches import Batches
from dslnode.learning.frozen_network import FrozenNetwork
from dslnode.learning.local_training import minibatch_gradient, score_gradient
from dslnode.learning.options import TrainingOptions
from dslnode.learning.personal_mask import aggregation_tensor, training_mask
from dslnode.learning.state import LearnerState
from dslnode.learning.tasks.task import LearningTask


def fine_tuned(
    network: FrozenNetwork,
    state: LearnerState,
    mean: Tensor,
    task: LearningTask,
    options: TrainingOptions,
    *,
    batches: Batches,
) -> LearnerState:
    """Return the state after ``S <- S - eta_f * g * m``, with the new mean m of the neighbours' masks, (weights,).

    ``stale`` takes the last gradient g of local training, as the authors' code does; ``fresh`` takes a new one.
    """
    if options.fine_tuning == "off":
        return state
    if options.fine_tuning == "fresh":
        state = replace(state, gradient=_fresh_gradient(network, state, task, options, batches))
    return state.moved_by(-options.fine_tuning_rate * network.reduce_gradient(state.gradient * mean))


def _fresh_gradient(
    network: FrozenNetwork, state: LearnerState, task: LearningTask, options: TrainingOptions, batches: Batches
) -> Tensor:
    network.model.train()
    inputs, targets = next(batches)
    mask = training_mask(network, aggregation_tensor(network, state, options), state.channels, options)
    at_weights = minibatch_gradient(network, mask, task, inputs, targets).at_weights
    if options.group_lasso:
        at_weights = state.channels.through(at_weights, network.layout, whole=options.whole_channels)
    return score_gradient(network.expand_scores(state.scores), network.at_mask(at_weights), options)
