"""Personalised fine-tuning with the new mean of the neighbours' masks (paper, step 6)."""

from __future__ import annotations

from torch import Tensor

from dslnode.learning.batches import Batches
from dslnode.learning.frozen_network import FrozenNetwork
from dslnode.learning.local_training import mask_gradient, score_gradient
from dslnode.learning.options import TrainingOptions
from dslnode.learning.personal_mask import choose_mask, ranking
from dslnode.learning.state import LearnerState


def fine_tune(
    network: FrozenNetwork, state: LearnerState, mean: Tensor, plan: TrainingOptions, batches: Batches
) -> None:
    """Personalised fine-tuning with the new mean ``m`` of the neighbours' masks: ``S <- S - eta_f * g * m`` (step 6).

    ``stale`` reuses the last gradient of local training, as the authors' code does; ``fresh`` takes a new one.
    """
    if plan.fine_tuning == "off":
        return
    if plan.fine_tuning == "fresh":
        network.model.train()
        images, labels = next(batches)
        keep = choose_mask(network, ranking(network, state, plan), state.scores, plan)
        _, _, at_mask = mask_gradient(network, keep, images, labels)
        state.gradient = score_gradient(network.expand_scores(state.scores), at_mask, plan)
    state.shift(-plan.fine_tuning_rate * network.reduce_gradient(state.gradient * mean))
