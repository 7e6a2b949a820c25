"""Local training of one node's scores (paper, step 4): a plain loop that reads like the paper.

The straight-through estimator hands the gradient that reaches the mask to the score unchanged. With ``w`` frozen,
that gradient is ``dL/d(w * mask) * w``, so it is taken from the kept weights directly: nothing of the mask's own
computation is ever recorded for differentiation.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from dslnode.errors import ModelError
from dslnode.learning.aggregation import aggregation_term, intermediate_aggregation_tensor
from dslnode.learning.batches import Batches
from dslnode.learning.frozen_network import FrozenNetwork
from dslnode.learning.group_sparsity import shrink_channels
from dslnode.learning.initialization import score_scale
from dslnode.learning.options import TrainingOptions
from dslnode.learning.personal_mask import choose_mask
from dslnode.learning.results import Progress
from dslnode.learning.state import LearnerState

SECOND_MOMENT = 0.99  # decay of Adam's squared gradients
WARM_UP = 10  # steps in which the average of the scores comes to its full decay


def mask_gradient(
    network: FrozenNetwork, keep: Tensor, images: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the minibatch's loss, its logits ``(batch, classes)``, and the gradient that reaches the mask."""
    leaves = {name: tensor.requires_grad_() for name, tensor in network.masked_weights(keep).items()}
    logits = functional_call(network.model, leaves, (images,)) + network.logit_offset
    loss = cross_entropy(logits, labels)
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    return loss.detach(), logits.detach(), flat * network.weights


def train_locally(
    network: FrozenNetwork,
    state: LearnerState,
    options: TrainingOptions,
    batches: Batches,
    stop: Callable[[], bool],
) -> Progress:
    """Run the round's local steps on ``state``; the mask follows the scores at every step (paper, steps 2 to 4).

    Returns early if ``stop`` says so between two steps. A minibatch whose loss or gradient is not finite moves nothing;
    raises ``ModelError`` if all of them were like that.
    """
    network.model.train()
    spread = network.expand_scores(state.scores)
    term = aggregation_term(spread, state.neighbour_mean, options.alpha * state.collaboration_weight, network.layout)
    loss_sum, right, seen, steps = 0.0, 0, 0, 0
    while steps < options.local_steps and not stop():
        images, labels = next(batches)
        tensor = intermediate_aggregation_tensor(spread, term, signed=options.signed_scores)
        keep = choose_mask(network, tensor, state.scores, options)
        loss, logits, gradient = mask_gradient(network, keep, images, labels)
        steps += 1
        if not math.isfinite(float(loss) + float(gradient.sum())):  # one such step would spoil all scores for good
            continue
        state.gradient = score_gradient(spread, gradient, options)
        step_scores(network, state, options)
        if options.group_lasso:
            strength = options.learning_rate * options.group_lasso
            shrink_channels(state.scores, network.layout, strength, relative=options.step_rule == "adam")
        state.average.lerp_(state.scores, 1 - min(options.score_ema_decay, state.steps / (state.steps + WARM_UP)))
        spread = network.expand_scores(state.scores)
        loss_sum += float(loss) * len(labels)
        right += int((logits.argmax(dim=1) == labels).sum())
        seen += len(labels)
    if steps and not seen:
        raise ModelError("the loss of every minibatch of a round was infinite or no number: look at model and data")
    return Progress(loss_sum / max(1, seen), right / max(1, seen), steps)


def score_gradient(scores: Tensor, at_mask: Tensor, options: TrainingOptions) -> Tensor:
    """Return dL/dS from the gradient at the mask: straight through, plus weight decay."""
    gradient = at_mask if options.signed_scores else at_mask * scores.sign()
    return gradient + options.weight_decay * scores if options.weight_decay else gradient


def step_scores(network: FrozenNetwork, state: LearnerState, options: TrainingOptions) -> None:
    """Take one step down the newest gradient.

    ``adam`` (Kingma and Ba 2015) with steps in units of the layer's first scores: gradients differ by orders of
    magnitude between layers, and one absolute rate kills a layer (all units off) while another one crawls.
    """
    state.steps += 1
    gradient = network.reduce_gradient(state.gradient)
    if options.step_rule == "momentum":
        state.velocity.mul_(options.momentum).add_(gradient)
        state.scores.sub_(state.velocity, alpha=options.learning_rate)
        return
    state.velocity.lerp_(gradient, 1 - options.momentum)
    state.squares.mul_(SECOND_MOMENT).addcmul_(gradient, gradient, value=1 - SECOND_MOMENT)
    first = 1 - options.momentum**state.steps
    second = 1 - SECOND_MOMENT**state.steps
    direction = state.velocity / state.squares.sqrt().add_(1e-12)
    now = rate_at(state.steps, options)
    for layer, (_, span) in zip(network.layout.layers, network.score_layout.spans(), strict=True):
        rate = now * score_scale(layer) * math.sqrt(second) / first
        state.scores[span].sub_(direction[span], alpha=rate)


def rate_at(steps: int, options: TrainingOptions) -> float:
    """Return the rate of a step: as planned, after the decay begins falling with the root of the number of steps.

    A node whose scores wander on at a constant rate never has nothing to say. (Kingma and Ba 2015, section 4.)
    """
    if not options.lr_decay_after_steps:
        return options.learning_rate
    return options.learning_rate * math.sqrt(min(1.0, options.lr_decay_after_steps / steps))
