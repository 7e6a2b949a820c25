"""Local training and evaluation over one flat vector of weights: what all methods but ours share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from dslnode.data.dataset import Examples
from dslnode.learning.evaluation import EVALUATION_BATCH
from dslnode.learning.initialization import NEVER, seeded_scores
from dslnode.learning.masking import tensors_of
from dslnode.learning.tasks.classification import class_prior
from dslnode.protocol.mask import MaskLayout
from dslnode.simulation.methods.cohort import Cohort


@dataclass(frozen=True, eq=False)
class Network:
    """The model over a flat weight vector.

    ``loss_offsets`` (classes,) are added to the logits of each node in its loss, ``answer_offsets`` to those that it
    answers with, as the learner does.
    """

    model: nn.Module
    layout: MaskLayout
    loss_offsets: tuple[Tensor, ...]
    answer_offsets: tuple[Tensor, ...]

    def logits(self, weights: Tensor, node: int, images: Tensor) -> Tensor:
        """Return the logits, shape ``(batch, classes)``, that a node with these weights answers images with."""
        return self._outputs(weights, images) + self.answer_offsets[node]

    def gradient(self, weights: Tensor, node: int, images: Tensor, labels: Tensor) -> Tensor:
        """Return the gradient of the minibatch's loss, as flat as the weights."""
        leaf = weights.detach().requires_grad_()
        loss = cross_entropy(self._outputs(leaf, images) + self.loss_offsets[node], labels)
        return torch.autograd.grad(loss, leaf)[0]

    @torch.no_grad()
    def predictions(self, weights: Tensor, node: int, examples: Examples) -> NDArray[np.int64]:
        """Return the likeliest class of each example, int64 (n,)."""
        images, _ = tensors(examples)
        parts = images.split(EVALUATION_BATCH)
        found = torch.cat([self.logits(weights, node, part).argmax(dim=1) for part in parts])
        return np.asarray(found.numpy())

    def accuracy(self, weights: Tensor, node: int, examples: Examples) -> float:
        """Return the fraction, 0 to 1, of right answers."""
        right = self.predictions(weights, node, examples) == examples.labels
        return int(right.sum()) / len(right)

    def _outputs(self, weights: Tensor, images: Tensor) -> Tensor:
        found: Tensor = functional_call(self.model, tensors_of(weights, self.layout), (images,))
        return found


def build_network(cohort: Cohort, *, own_classes: bool) -> Network:
    """Return the network; ``own_classes`` lets a node train and answer over the classes of its own data only.

    Where these are uneven, all methods train with the class prior, as the learner does. They answer with it if the
    cohort's uneven classes count by frequency.
    """
    of_losses, of_answers = [], []
    for data in cohort.parts:
        offset = torch.zeros(data.class_count)
        if own_classes:
            offset += NEVER
            offset[torch.from_numpy(np.unique(data.train.labels))] = 0
        prior = class_prior(data.train.labels, data.class_count)
        with_prior = offset if prior is None else offset + torch.from_numpy(prior)
        of_losses.append(with_prior)
        of_answers.append(with_prior if cohort.uneven_classes == "by_frequency" else offset)
    return Network(cohort.model(), cohort.layout, tuple(of_losses), tuple(of_answers))


def tensors(examples: Examples) -> tuple[Tensor, Tensor]:
    """Return the images as the model sees them, laid out as they are stored, and the labels."""
    images = torch.from_numpy(examples.stored).float().div(examples.full_scale)
    return images, torch.from_numpy(examples.labels)


def dense_start(cohort: Cohort) -> Tensor:
    """Return the weights that all nodes begin with: uniform with variance 2 / fan-in (He et al. 2015)."""
    return seeded_scores(cohort.layout, cohort.seed) * 6**0.5


def batches(examples: Examples, size: int, seed: int, node: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield minibatches without end: shuffled epochs, the rest of an epoch that fills no batch left out."""
    generator = np.random.Generator(np.random.PCG64([seed, node]))
    stored, labels = torch.from_numpy(examples.stored), torch.from_numpy(examples.labels)
    size = min(size, len(labels))
    while True:
        order = torch.from_numpy(generator.permutation(len(labels)))
        for start in range(0, len(labels) - size + 1, size):
            chosen = order[start : start + size]
            yield stored[chosen].float().div(examples.full_scale), labels[chosen]


def streams(cohort: Cohort) -> list[Iterator[tuple[Tensor, Tensor]]]:
    """Return every node's minibatches."""
    return [batches(data.train, cohort.batch_size, cohort.seed, node) for node, data in enumerate(cohort.parts)]
