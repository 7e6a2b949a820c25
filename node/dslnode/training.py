"""Local training, personalised fine-tuning and evaluation of one node's mask: plain loops that read like the paper.

The straight-through estimator hands the gradient that reaches the mask to the score unchanged. With ``w`` frozen,
that gradient is ``dL/d(w * mask) * w``, so it is taken from the kept weights directly: nothing of the mask's own
computation is ever recorded for differentiation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from dslnode.aggregation import aggregation_term, intermediate_aggregation_tensor
from dslnode.channels import dead_channels, drop_thin_channels, living_counts, shrink_channels
from dslnode.errors import ModelError
from dslnode.frozen import FrozenNetwork
from dslnode.mask import RobustAggregation
from dslnode.masking import score_scale, top_k
from dslnode.results import Progress

FineTuning = Literal["off", "stale", "fresh"]
StepRule = Literal["adam", "momentum"]
EVALUATION_BATCH = 256  # examples that are measured at a time
SECOND_MOMENT = 0.99  # Adam's memory of squared gradients
WARM_UP = 10  # steps after which the average of the scores begins to reach as far back as it may
Batches = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class TrainingPlan:
    """How one node trains its scores. The field comments say the unit and which way to tune."""

    local_steps: int = 30  # minibatches a round; more: fewer messages, masks drift further apart
    batch_size: int = 32  # images a minibatch
    step_rule: StepRule = "adam"
    rate: float = 0.06  # learning rate; adam: relative to each layer's score scale, momentum: absolute
    steady_steps: int = 400  # adam: steps after which the rate falls with the root of their number; 0: never
    momentum: float = 0.9
    weight_decay: float = 0.0
    signed: bool = True  # rank S itself (True) or |S| as the paper does
    alpha: float = 1.0  # aggregation strength; larger: closer to the neighbours
    novelty: bool = True  # aggregate what neighbours' masks say beyond the mask that all started from
    score_memory: float = 0.9  # part of the averaged scores that stays at each step; larger: steadier masks, later
    mean_memory: float = 0.5  # part of the old neighbour mean that stays when a new one comes
    consensus: float = 0.95  # how far scores move to the neighbours' replicas, less the more examples a node has
    adaptive_leaning: bool = True  # lean less on neighbours who make the personal model worse on held-out data
    robust_aggregation: RobustAggregation = RobustAggregation.OFF  # shorten and leave out pulls that stand alone
    skip_below: float = 0.2  # part of what was learned that neighbours may lack before a sign mask is sent
    group_lasso: float = 0.0  # lambda; adam: no unit, momentum: as the loss; larger: more output channels die
    thin_channel: float = 0.0  # structured step: drop channels that keep less than this part of their share; 0: off
    fine_tuning: FineTuning = "off"
    fine_tuning_rate: float = 10.0


@dataclass
class TrainedState:
    """What training changes: scores, the moments of their gradient, the neighbour mean m, the newest gradient dL/dS.

    ``average`` is that of the scores over the last steps: the personal mask follows from it (Polyak and Juditsky 1992),
    while steps are taken from the scores themselves. ``scores``, ``average``, ``velocity`` and ``squares`` have one
    entry a score, the others one a weight. ``steps`` counts all steps ever taken; ``leaning``, 0 to 1, is how far the
    node leans on its neighbours.
    """

    scores: Tensor
    average: Tensor
    velocity: Tensor
    squares: Tensor
    neighbour_mean: Tensor
    gradient: Tensor
    steps: int = 0
    leaning: float = 1.0

    def shift(self, change: Tensor) -> None:
        """Move the scores, and their average with them, by what no local step is the cause of."""
        self.scores += change
        self.average += change


def ranking(network: FrozenNetwork, state: TrainedState, plan: TrainingPlan) -> Tensor:
    """Return the intermediate aggregation tensor of the averaged scores and the present neighbour mean."""
    scores = network.spread(state.average)
    term = aggregation_term(scores, state.neighbour_mean, plan.alpha * state.leaning, network.layout)
    return intermediate_aggregation_tensor(scores, term, signed=plan.signed)


def choose_mask(network: FrozenNetwork, tensor: Tensor, scores: Tensor, plan: TrainingPlan) -> Tensor:
    """Return the mask of an intermediate aggregation tensor: top-k a layer, then the structured step if it is on.

    A channel that the group lasso emptied keeps nothing, whatever the neighbours keep: which channels live is for
    the node's own scores to say (the lasso goes with a score for each weight). The keep ratio holds among the others:
    if they took over its weights, a few living channels would keep all they have, and there would be nothing left to
    choose.
    """
    counts = network.counts
    if plan.group_lasso:
        dead = dead_channels(scores, network.layout)
        tensor, counts = tensor.masked_fill(dead, -math.inf), living_counts(dead, network.layout, counts)
    keep = top_k(tensor, network.layout, counts)
    if plan.thin_channel:
        keep = drop_thin_channels(keep, network.layout, network.counts, plan.thin_channel)
    return keep


def mask_gradient(
    network: FrozenNetwork, keep: Tensor, images: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the minibatch's loss, its logits ``(batch, classes)``, and the gradient that reaches the mask."""
    leaves = {name: tensor.requires_grad_() for name, tensor in network.kept(keep).items()}
    logits = functional_call(network.model, leaves, (images,)) + network.logit_offset
    loss = cross_entropy(logits, labels)
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    return loss.detach(), logits.detach(), flat * network.weights


def train_locally(
    network: FrozenNetwork,
    state: TrainedState,
    plan: TrainingPlan,
    batches: Batches,
    stop: Callable[[], bool],
) -> Progress:
    """Run the round's local steps on ``state``; the mask follows the scores at every step (paper, steps 2 to 4).

    Returns early if ``stop`` says so between two steps. A minibatch whose loss or gradient is not finite moves nothing;
    raises ``ModelError`` if all of them were like that.
    """
    network.model.train()
    spread = network.spread(state.scores)
    term = aggregation_term(spread, state.neighbour_mean, plan.alpha * state.leaning, network.layout)
    loss_sum, right, seen, steps = 0.0, 0, 0, 0
    while steps < plan.local_steps and not stop():
        images, labels = next(batches)
        tensor = intermediate_aggregation_tensor(spread, term, signed=plan.signed)
        keep = choose_mask(network, tensor, state.scores, plan)
        loss, logits, gradient = mask_gradient(network, keep, images, labels)
        steps += 1
        if not math.isfinite(float(loss) + float(gradient.sum())):  # one such step would spoil all scores for good
            continue
        state.gradient = score_gradient(spread, gradient, plan)
        step_scores(network, state, plan)
        if plan.group_lasso:
            strength = plan.rate * plan.group_lasso
            shrink_channels(state.scores, network.layout, strength, relative=plan.step_rule == "adam")
        state.average.lerp_(state.scores, 1 - min(plan.score_memory, state.steps / (state.steps + WARM_UP)))
        spread = network.spread(state.scores)
        loss_sum += float(loss) * len(labels)
        right += int((logits.argmax(dim=1) == labels).sum())
        seen += len(labels)
    if steps and not seen:
        raise ModelError("the loss of every minibatch of a round was infinite or no number: look at model and data")
    return Progress(loss_sum / max(1, seen), right / max(1, seen), steps)


def score_gradient(scores: Tensor, at_mask: Tensor, plan: TrainingPlan) -> Tensor:
    """Return dL/dS from the gradient at the mask: straight through, plus weight decay."""
    gradient = at_mask if plan.signed else at_mask * scores.sign()
    return gradient + plan.weight_decay * scores if plan.weight_decay else gradient


def step_scores(network: FrozenNetwork, state: TrainedState, plan: TrainingPlan) -> None:
    """Take one step down the newest gradient.

    ``adam`` (Kingma and Ba 2015) with steps in units of the layer's first scores: gradients differ by orders of
    magnitude between layers, and one absolute rate kills a layer (all units off) while another one crawls.
    """
    state.steps += 1
    gradient = network.gather(state.gradient)
    if plan.step_rule == "momentum":
        state.velocity.mul_(plan.momentum).add_(gradient)
        state.scores.sub_(state.velocity, alpha=plan.rate)
        return
    state.velocity.lerp_(gradient, 1 - plan.momentum)
    state.squares.mul_(SECOND_MOMENT).addcmul_(gradient, gradient, value=1 - SECOND_MOMENT)
    first = 1 - plan.momentum**state.steps
    second = 1 - SECOND_MOMENT**state.steps
    direction = state.velocity / state.squares.sqrt().add_(1e-12)
    now = rate_at(state.steps, plan)
    for layer, (_, span) in zip(network.layout.layers, network.score_layout.spans(), strict=True):
        rate = now * score_scale(layer) * math.sqrt(second) / first
        state.scores[span].sub_(direction[span], alpha=rate)


def rate_at(steps: int, plan: TrainingPlan) -> float:
    """Return the rate of a step: as planned, after ``steady_steps`` falling with the root of the number of steps.

    A node whose scores wander on at a constant rate never has nothing to say. (Kingma and Ba 2015, section 4.)
    """
    if not plan.steady_steps:
        return plan.rate
    return plan.rate * math.sqrt(min(1.0, plan.steady_steps / steps))


def fine_tune(network: FrozenNetwork, state: TrainedState, mean: Tensor, plan: TrainingPlan, batches: Batches) -> None:
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
        state.gradient = score_gradient(network.spread(state.scores), at_mask, plan)
    state.shift(-plan.fine_tuning_rate * network.gather(state.gradient * mean))


@torch.no_grad()
def evaluate(
    network: FrozenNetwork, keep: Tensor, batches: Iterable[tuple[Tensor, Tensor]], stop: Callable[[], bool]
) -> float | None:
    """Return the accuracy, 0 to 1, of the network under a mask over all batches; None if ``stop`` ends it early."""
    network.model.eval()
    kept = network.kept(keep)
    right = seen = 0
    for images, labels in batches:
        if stop():
            return None
        logits = functional_call(network.model, kept, (images,)) + network.logit_offset
        right += int((logits.argmax(dim=1) == labels).sum())
        seen += len(labels)
    return right / max(1, seen)
