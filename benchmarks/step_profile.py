"""Where the time of our local step goes: ``training.train_locally`` taken apart, part by part.

The parts are the lines of ``train_locally`` and ``minibatch_gradient``, copied here with a stopwatch between them;
``profile`` checks that both still learn the same scores, so that the copy cannot go stale unnoticed.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.func import functional_call

from benchmarks.report import Row
from benchmarks.steps import Case, our_network
from dslnode.learning.aggregation import aggregation_term
from dslnode.learning.frozen_network import FrozenNetwork
from dslnode.learning.local_training import step_scores, train_locally
from dslnode.learning.options import TrainingOptions
from dslnode.learning.personal_mask import training_mask
from dslnode.learning.state import LearnerState
from dslnode.learning.tasks.task import LearningTask

PARTS = ("ranking", "top-k", "masking", "forward", "backward", "gradient product", "score update", "bookkeeping")


class Stopwatch:
    """Sums up seconds by part; ``lap`` ends a part and begins the next."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._last = time.perf_counter()

    def start(self) -> None:
        """Begin the first part."""
        self._last = time.perf_counter()

    def lap(self, part: str) -> None:
        """Give the time since the last call to a part."""
        now = time.perf_counter()
        self.seconds[part] += now - self._last
        self._last = now


def profile(case: Case, steps: int, repetitions: int) -> Row:
    """Return milliseconds a step by part, each the median over the repetitions."""
    network, state, task = our_network(case)
    plan, batches = TrainingOptions(local_steps=steps, batch_size=case.batch), case.batches()
    _check(case, plan)
    taken = [_run(network, state, plan, batches, task) for _ in range(repetitions + 1)][1:]
    row: Row = {part: 1000 * statistics.median(lap[part] for lap in taken) / steps for part in PARTS}
    return {"model": case.model, "batch": case.batch, **row, "sum": sum(row.values())}


def _check(case: Case, plan: TrainingOptions) -> None:
    """Fail if this copy of the local steps no longer does what the original does."""
    network, copied, task = our_network(case)
    original = copy.deepcopy(copied)
    train_locally(network, original, task, plan, case.batches(), stop=lambda: False)
    _run(network, copied, plan, case.batches(), task)
    if not torch.allclose(original.scores, copied.scores, rtol=1e-3, atol=1e-5):
        raise RuntimeError("benchmarks/step_profile.py is out of date: training.train_locally has changed")


def _run(
    network: FrozenNetwork,
    state: LearnerState,
    plan: TrainingOptions,
    batches: Iterator[tuple[Tensor, Tensor]],
    task: LearningTask,
) -> dict[str, float]:
    network.model.train()
    watch = Stopwatch()
    term = aggregation_term(network.expand_scores(state.scores), state.neighbour_mean, plan.alpha, network.layout)
    assert network.sharing is not None
    start = network.sharing.seeded + term
    tensor = torch.empty_like(start)
    loss_sum = 0.0
    predictions, wanted = [], []
    for _ in range(plan.local_steps):
        images, labels = next(batches)
        watch.start()
        network.expand_scores(state.scores, start, out=tensor)
        watch.lap("ranking")
        keep = training_mask(network, tensor, state.channels, plan, out=tensor)
        watch.lap("top-k")
        loss, logits, gradient = _mask_gradient(network, keep, (images, labels), task, watch)
        step_scores(network, state, gradient, plan)
        watch.lap("score update")
        loss_sum += float(loss) * len(labels)
        predictions.append(task.predictions(logits, images))
        wanted.append(labels)
        watch.lap("bookkeeping")
    task.score(torch.cat(predictions).numpy(), torch.cat(wanted).numpy())
    return watch.seconds


def _mask_gradient(
    network: FrozenNetwork, keep: Tensor, batch: tuple[Tensor, Tensor], task: LearningTask, watch: Stopwatch
) -> tuple[Tensor, Tensor, Tensor]:
    images, labels = batch
    leaves = {name: tensor.requires_grad_() for name, tensor in network.masked_weights(keep, out=keep).items()}
    watch.lap("masking")
    logits = functional_call(network.model, leaves, (images,)) + network.logit_offset
    loss = task.loss(logits, images, labels)
    watch.lap("forward")
    gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
    watch.lap("backward")
    at_scores = network.at_scores(dict(zip(leaves, gradients, strict=True)))
    watch.lap("gradient product")
    return loss.detach(), logits.detach(), at_scores
