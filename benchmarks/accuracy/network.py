"""Local training and evaluation over one flat vector of weights: what all baselines share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from benchmarks.accuracy.cases import World
from dslnode.data.dataset import Examples
from dslnode.learning.evaluation import EVALUATION_BATCH
from dslnode.learning.initialization import NEVER, seeded_scores
from dslnode.learning.masking import tensors_of
from dslnode.learning.tasks.classification import class_prior
from dslnode.protocol.mask import MaskLayout


@dataclass(frozen=True, eq=False)
class Network:
    """The model over a flat weight vector; ``offset`` is added to the logits of each node, as the learner does."""

    model: nn.Module
    layout: MaskLayout
    offsets: tuple[Tensor, ...]

    def logits(self, weights: Tensor, node: int, images: Tensor) -> Tensor:
        """Return the logits, shape ``(batch, classes)``, of one node's images under these weights."""
        found: Tensor = functional_call(self.model, tensors_of(weights, self.layout), (images,))
        return found + self.offsets[node]

    def gradient(self, weights: Tensor, node: int, images: Tensor, labels: Tensor) -> Tensor:
        """Return the gradient of the minibatch's loss, as flat as the weights."""
        leaf = weights.detach().requires_grad_()
        loss = cross_entropy(self.logits(leaf, node, images), labels)
        return torch.autograd.grad(loss, leaf)[0]

    @torch.no_grad()
    def accuracy(self, weights: Tensor, node: int, examples: Examples) -> float:
        """Return the fraction, 0 to 1, of right answers."""
        images, labels = tensors(examples)
        parts = zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True)
        right = sum(int((self.logits(weights, node, part).argmax(dim=1) == truth).sum()) for part, truth in parts)
        return right / len(labels)


def build_network(world: World, *, own_classes: bool) -> Network:
    """Return the network; ``own_classes`` lets a node train and answer over the classes of its own data only.

    Where these are uneven, all methods train and answer with the class prior, as the learner's loss has it.
    """
    offsets = []
    for data in world.nodes:
        offset = torch.zeros(data.train.class_count)
        if own_classes:
            offset += NEVER
            offset[list(data.classes)] = 0
        prior = class_prior(data.train.train.labels, data.train.class_count)
        if prior is not None:
            offset += torch.from_numpy(prior)
        offsets.append(offset)
    return Network(world.model(), world.layout, tuple(offsets))


def tensors(examples: Examples) -> tuple[Tensor, Tensor]:
    """Return the images as the model sees them, laid out as they are stored, and the labels."""
    images = torch.from_numpy(examples.stored).float().div(examples.full_scale)
    return images, torch.from_numpy(examples.labels)


def dense_start(world: World) -> Tensor:
    """Return the weights that all nodes begin with: uniform with variance 2 / fan-in (He et al. 2015)."""
    return seeded_scores(world.layout, world.seed) * 6**0.5


def batches(examples: Examples, size: int, seed: int, node: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield minibatches without end: shuffled epochs, the rest of an epoch that fills no batch left out."""
    generator = np.random.Generator(np.random.PCG64([seed, node]))
    images, labels = tensors(examples)
    size = min(size, len(labels))
    while True:
        order = torch.from_numpy(generator.permutation(len(labels)))
        for start in range(0, len(labels) - size + 1, size):
            chosen = order[start : start + size]
            yield images[chosen], labels[chosen]


def streams(world: World, size: int) -> list[Iterator[tuple[Tensor, Tensor]]]:
    """Return every node's minibatches."""
    return [batches(data.train.train, size, world.seed, node) for node, data in enumerate(world.nodes)]
