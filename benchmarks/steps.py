"""One local training step in three ways: ours, the dense model's, and the authors'. What ``step`` compares.

Each way is a function that runs a given number of steps, with the bookkeeping of a training loop (loss and right
answers summed up) in all three.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy, linear

from dslnode.config.settings import Settings
from dslnode.data.dataset import DataSet, Examples
from dslnode.learning import models
from dslnode.learning.frozen_network import FrozenNetwork
from dslnode.learning.learner import Learner
from dslnode.learning.local_training import train_locally
from dslnode.learning.options import InitializationOptions, TrainingOptions
from dslnode.learning.state import LearnerState
from dslnode.learning.tasks.task import LearningTask

CLASSES = 10
KEEP_RATIO = 0.3
BATCHES = 16
SHARING = Settings(name="any").weights_per_score
BUILDERS: dict[str, Callable[[tuple[int, ...], int], nn.Module]] = {
    "mlp": models.mlp,
    "cnn": models.cnn,
    "alexnet": models.alexnet,
}


@dataclass(frozen=True)
class Case:
    """A model, the shape of its input and the number of images in a minibatch."""

    model: str
    shape: tuple[int, int, int]
    batch: int

    def build(self) -> nn.Module:
        """Return the untrained model, the same at each call."""
        torch.manual_seed(1)
        return BUILDERS[self.model](self.shape, CLASSES)

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield random minibatches without end."""
        draw = torch.Generator().manual_seed(2)
        pairs = [
            (
                torch.rand(self.batch, *self.shape, generator=draw),
                torch.randint(CLASSES, (self.batch,), generator=draw),
            )
            for _ in range(BATCHES)
        ]
        return cycle(pairs)


def our_network(case: Case) -> tuple[FrozenNetwork, LearnerState, LearningTask]:
    """Return network, state and task as a node in the middle of a run has them, with a neighbour mean."""
    images, labels = next(case.batches())
    data = DataSet(Examples(images.numpy(), labels.numpy()), None, CLASSES, "random")
    origin = InitializationOptions(
        network_seed=1, node_seed=2, keep_ratio=KEEP_RATIO, own_classes=False, weights_per_score=SHARING
    )
    learner = Learner(case.build(), data, TrainingOptions(batch_size=case.batch), origin)
    state = learner._state
    state.neighbour_mean.uniform_(0, 1, generator=torch.Generator().manual_seed(3))
    return learner.network, state, learner.task


def our_steps(case: Case, steps: int) -> Callable[[], object]:
    """Return local training exactly as the daemon runs it, with its default settings."""
    network, state, task = our_network(case)
    plan, batches = TrainingOptions(local_steps=steps, batch_size=case.batch), case.batches()
    return lambda: train_locally(network, state, task, plan, batches, stop=lambda: False)


def dense_steps(case: Case, steps: int) -> Callable[[], object]:
    """Return ordinary training of all weights: SGD with momentum 0.9 and cross entropy."""
    model = case.build().train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    batches = case.batches()

    def run() -> None:
        loss_sum, right = 0.0, 0
        for _ in range(steps):
            images, labels = next(batches)
            logits = model(images)
            loss = cross_entropy(logits, labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss_sum += loss.item() * len(labels)
            right += int((logits.argmax(dim=1) == labels).sum())

    return run


class KeepLargest(torch.autograd.Function):
    """The authors' mask: a sort of the whole layer finds the threshold, the gradient passes straight through."""

    @staticmethod
    def forward(_ctx: object, ranking: Tensor, keep_ratio: float) -> Tensor:
        """Return ones at the largest entries, zeros elsewhere."""
        ordered, _ = ranking.flatten().sort()
        threshold = ordered[int((1 - keep_ratio) * ranking.numel())]
        return (ranking >= threshold).float()

    @staticmethod
    def backward(_ctx: object, gradient: Tensor) -> tuple[Tensor, None]:
        """Hand the gradient on unchanged."""
        return gradient, None


class AuthorsLayer(nn.Module):
    """A linear or convolutional layer with frozen weights and trained scores, masked anew at every call."""

    weight: Tensor
    neighbour_mean: Tensor

    def __init__(self, layer: nn.Linear | nn.Conv2d) -> None:
        super().__init__()
        self.padding = layer.padding if isinstance(layer, nn.Conv2d) else None
        self.scores = nn.Parameter(torch.empty_like(layer.weight))
        nn.init.kaiming_uniform_(self.scores, a=5**0.5)
        self.register_buffer("weight", layer.weight.detach().clone())
        self.register_buffer("neighbour_mean", torch.bernoulli(torch.full_like(self.weight, KEEP_RATIO)))

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply the layer under the mask of the intermediate aggregation tensor."""
        scores = self.scores
        pull = scores.detach().abs().mean() * scores.detach().sign() * self.neighbour_mean
        weight = self.weight * KeepLargest.apply((scores + pull).abs(), KEEP_RATIO)  # type: ignore[no-untyped-call]
        return linear(inputs, weight) if self.padding is None else conv2d(inputs, weight, padding=self.padding)


def authors_steps(case: Case, steps: int) -> Callable[[], object]:
    """Return training as the authors' code does it: one step a round, and a copy of the whole model every round."""
    layers = [AuthorsLayer(m) if isinstance(m, nn.Linear | nn.Conv2d) else m for m in case.build().children()]
    held = [nn.Sequential(*layers)]
    batches = case.batches()

    def run() -> None:
        loss_sum, right = 0.0, 0
        for _ in range(steps):
            model = copy.deepcopy(held[0]).train()
            optimiser = torch.optim.SGD(model.parameters(), lr=10, weight_decay=5e-4)
            images, labels = next(batches)
            logits = model(images)
            loss = cross_entropy(logits, labels)
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            loss_sum += loss.item() * len(labels)
            right += int((logits.argmax(dim=1) == labels).sum())
            held[0] = model

    return run
