"""Local training of one node's scores (paper, step 4): a plain loop that reads like the paper.

The straight-through estimator hands the gradient that reaches the mask to the score unchanged. With ``w`` frozen,
that gradient is ``dL/d(w * mask) * w``, so it is taken from the weights under the mask: nothing of the mask's own
computation is ever recorded for differentiation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dslnode.errors import ModelError
from dslnode.learning.aggregation import aggregation_term, intermediate_aggregation_tensor
from dslnode.learning.batches import Batches
from dslnode.learning.frozen_network import FrozenNetwork
from dslnode.learning.initialization import score_scale
from dslnode.learning.masking import kept_weights
from dslnode.learning.options import TrainingOptions
from dslnode.learning.personal_mask import training_mask
from dslnode.learning.results import Progress
from dslnode.learning.state import LearnerState
from dslnode.learning.tasks.task import LearningTask

LOCAL_RATE = 0.01
"""Adam's rate for what is not masked: biases, gains of norms, and the like."""
MOMENTUM = 0.9  # decay of the gradients of what is not masked
SECOND_MOMENT = 0.99  # decay of Adam's squared gradients
QUIET = 1e-3
"""Part of its largest gradient so far below which a layer, or a parameter that is not masked, is as good as learned."""
WARM_UP = 10  # steps in which the average of the scores comes to its full decay


@dataclass(frozen=True)
class MinibatchGradient:
    """A minibatch's loss (), its outputs (batch, outputs), and gradients by parameter name, in the model's own shapes.

    ``at_weights`` has those at the weights under the mask, ``local`` those of the parameters that are not masked.
    """

    loss: Tensor
    outputs: Tensor
    at_weights: Mapping[str, Tensor]
    local: Mapping[str, Tensor]

    def is_finite(self) -> bool:
        """Return whether a step down these gradients would leave all values finite."""
        gradients = (*self.at_weights.values(), *self.local.values())
        total = float(self.loss) + sum(float(gradient.sum()) for gradient in gradients)
        return math.isfinite(total)


class _Ranking:
    """The intermediate aggregation tensor of the steps of a round, in which the neighbours' term stays the same."""

    def __init__(self, network: FrozenNetwork, state: LearnerState, options: TrainingOptions) -> None:
        self._network, self._options = network, options
        alpha = options.alpha * state.collaboration_weight
        term = aggregation_term(network.expand_scores(state.scores), state.neighbour_mean, alpha, network.layout)
        self._term = term
        seeded = None if network.sharing is None else network.sharing.seeded
        self._start = term if seeded is None else seeded + term
        self._tensor = torch.empty_like(self._start)

    def tensor(self, scores: Tensor) -> Tensor:
        """Return T (weights,) of the scores (scores,), to be overwritten: it is good until the next call."""
        if self._options.signed_scores:
            return self._network.expand_scores(scores, self._start, out=self._tensor)
        return intermediate_aggregation_tensor(self._network.expand_scores(scores), self._term, signed=False)

    def at_scores(self, state: LearnerState, at_weights: Mapping[str, Tensor]) -> Tensor:
        """Return the gradient (scores,). What fine-tuning or weight decay need of each weight is put into the state."""
        options = self._options
        if options.signed_scores and not options.weight_decay and options.fine_tuning != "stale":
            return self._network.at_scores(at_weights)
        at_mask = self._network.at_mask(at_weights)
        state.gradient = score_gradient(self._network.expand_scores(state.scores), at_mask, options)
        return self._network.reduce_gradient(state.gradient)


class _Seen:
    """What was answered to the minibatches of a round, for its mean loss and its score."""

    def __init__(self, task: LearningTask) -> None:
        self._task = task
        self._loss_sum = 0.0
        self._predictions: list[Tensor] = []
        self.targets: list[Tensor] = []

    def add(self, gradient: MinibatchGradient, inputs: Tensor, targets: Tensor) -> None:
        self._loss_sum += float(gradient.loss) * len(targets)
        self._predictions.append(self._task.predictions(gradient.outputs, inputs))
        self.targets.append(targets)

    def progress(self, steps: int) -> Progress:
        if not self.targets:
            return Progress(0.0, 0.0, steps, self._task.score_name)
        predictions, targets = torch.cat(self._predictions), torch.cat(self.targets)
        score = self._task.score(predictions.numpy(), targets.numpy())
        return Progress(self._loss_sum / len(targets), score, steps, self._task.score_name)


def minibatch_gradient(
    network: FrozenNetwork,
    mask: Tensor,
    task: LearningTask,
    inputs: Tensor,
    targets: Tensor,
    *,
    out: Tensor | None = None,
) -> MinibatchGradient:
    """Return the gradients of the task's loss with the network under a mask (weights,), boolean or of strengths.

    The weights under the mask are put in ``out``, float32 (weights,), if that is given; it may be the mask itself.
    """
    leaves = {name: tensor.requires_grad_() for name, tensor in network.masked_weights(mask, out=out).items()}
    local = network.local_parameters
    outputs = network.run(leaves, inputs)
    loss = task.loss(outputs, inputs, targets)
    wanted = [*leaves.values(), *local.values()]
    gradients = torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)
    at_weights = dict(zip(leaves, gradients, strict=False))
    at_local = dict(zip(local, gradients[len(leaves) :], strict=True))
    return MinibatchGradient(loss.detach(), outputs.detach(), at_weights, at_local)


def train_locally(
    network: FrozenNetwork,
    state: LearnerState,
    task: LearningTask,
    options: TrainingOptions,
    batches: Batches,
    *,
    stop: Callable[[], bool],
) -> Progress:
    """Run the round's local steps on ``state``; the mask follows the scores at every step (paper, steps 2 to 4).

    Returns early if ``stop`` says so between two steps. A minibatch whose loss or gradient is not finite moves nothing;
    raises ``ModelError`` if all of them were like that.
    """
    network.model.train()
    ranking = _Ranking(network, state, options)
    seen, steps = _Seen(task), 0
    while steps < options.local_steps and not stop():
        inputs, targets = next(batches)
        tensor = ranking.tensor(state.scores)
        # All in one array: a fresh one of this size costs more in page faults than the arithmetic on it
        mask = training_mask(network, tensor, state.channels, options, out=tensor)
        gradient = minibatch_gradient(network, mask, task, inputs, targets, out=tensor)
        steps += 1
        if not gradient.is_finite():  # one such step would spoil all scores for good
            continue
        at_weights = gradient.at_weights
        if options.group_lasso:
            at_weights = step_channels(network, state, mask, at_weights, options)
        step_scores(network, state, ranking.at_scores(state, at_weights), options)
        step_local_parameters(network, state, gradient.local)
        state.average.lerp_(state.scores, 1 - min(options.score_ema_decay, state.steps / (state.steps + WARM_UP)))
        seen.add(gradient, inputs, targets)
    if steps and not seen.targets:
        raise ModelError("the loss of every minibatch of a round was infinite or no number: look at model and data")
    return seen.progress(steps)


def score_gradient(scores: Tensor, at_mask: Tensor, options: TrainingOptions) -> Tensor:
    """Return dL/dS from the gradient at the mask: straight through, plus weight decay."""
    gradient = at_mask if options.signed_scores else at_mask * scores.sign()
    return gradient + options.weight_decay * scores if options.weight_decay else gradient


def step_scores(network: FrozenNetwork, state: LearnerState, gradient: Tensor, options: TrainingOptions) -> None:
    """Take one step down a gradient (scores,).

    ``adam`` (Kingma and Ba 2015) with steps in units of the layer's first scores: gradients differ by orders of
    magnitude between layers, and one absolute rate kills a layer (all units off) while another one crawls. A layer that
    has learned takes shorter steps (``_unrest``).
    """
    state.steps += 1
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
        rate *= _unrest(state, layer.name, math.sqrt(float(state.squares[span].mean()) / second))
        state.scores[span].sub_(direction[span], alpha=rate)


def _unrest(state: LearnerState, name: str, size: float) -> float:
    """Return by how much Adam's step is shortened, 0 to 1, where the gradient's root mean square is ``size``.

    Adam's steps are as long however small the gradient is. Where all examples are answered with certainty, it falls by
    a million and still points somewhere: without this, scores wander off for as long as a node runs, and what was
    learned is lost.
    """
    peak = state.peaks[name] = max(state.peaks.get(name, 0.0), size)
    return min(1.0, size / (QUIET * peak)) if peak else 1.0


def step_channels(
    network: FrozenNetwork,
    state: LearnerState,
    mask: Tensor,
    at_weights: Mapping[str, Tensor],
    options: TrainingOptions,
) -> Mapping[str, Tensor]:
    """Take one step of the group lasso with the channels' scales; return the gradients at the weights before these."""
    layout, whole = network.layout, options.whole_channels
    through = state.channels.through(at_weights, layout, whole=whole)
    run_with = kept_weights(network.weights, mask)
    state.channels.step(run_with, at_weights, layout, options.group_lasso, whole=whole)
    return through


@torch.no_grad()
def step_local_parameters(network: FrozenNetwork, state: LearnerState, gradients: Mapping[str, Tensor]) -> None:
    """Take one step of Adam with what is not masked (Kingma and Ba 2015). It is this node's own, and never sent."""
    for name, gradient in gradients.items():
        first, second = state.local_moments(name, gradient)
        first.lerp_(gradient, 1 - MOMENTUM)
        second.mul_(SECOND_MOMENT).addcmul_(gradient, gradient, value=1 - SECOND_MOMENT)
        corrected = second.div(1 - SECOND_MOMENT**state.steps)
        rate = LOCAL_RATE / (1 - MOMENTUM**state.steps) * _unrest(state, name, math.sqrt(float(corrected.mean())))
        network.local_parameters[name].addcdiv_(first, corrected.sqrt_().add_(1e-8), value=-rate)


def rate_at(steps: int, options: TrainingOptions) -> float:
    """Return the rate of a step: as planned, after the decay begins falling with the root of the number of steps.

    A node whose scores wander on at a constant rate never has nothing to say. (Kingma and Ba 2015, section 4.)
    """
    if not options.lr_decay_after_steps:
        return options.learning_rate
    return options.learning_rate * math.sqrt(min(1.0, options.lr_decay_after_steps / steps))
