"""DisPFL (Dai et al. 2022): sparse personal models, averaged where neighbours' masks overlap, pruned and regrown.

Every node holds a sparse model under its own mask. A round: average each kept weight over those neighbours (and
itself) that keep it too; local steps on the kept weights; then prune the smallest weights of each layer and
regrow as many where the dense gradient is largest. The pruned fraction falls to zero along a cosine.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from dslnode.learning.masking import top_k
from dslnode.protocol.mask import MaskLayout
from dslnode.simulation.methods.bits import Bits, flipped, float_message, mask_message
from dslnode.simulation.methods.cohort import Cohort
from dslnode.simulation.methods.dense import decayed
from dslnode.simulation.methods.method import LOCAL_STEPS, Candidates, Traffic
from dslnode.simulation.methods.network import build_network, dense_start, streams

DENSITY = 0.5  # the authors' own


class DisPFL:
    """All nodes of a run. ``rounds`` is how many there will be, for the cosines; that of the rate is an option."""

    def __init__(
        self,
        cohort: Cohort,
        rounds: int,
        *,
        rate: float,
        momentum: float,
        prune: float,
        own_classes: bool,
        cosine: bool,
        local_steps: int = LOCAL_STEPS,
    ) -> None:
        self.network = build_network(cohort, own_classes=own_classes)
        self.traffic = Traffic(density=DENSITY)
        self.local_steps = local_steps
        self.form = "float32"
        self._rounds, self._rate, self._momentum, self._prune = rounds, rate, momentum, prune
        self._decay_rounds = rounds if cosine else None
        self._neighbours = cohort.neighbours
        self._batches = streams(cohort)
        self._counts = layer_counts(cohort.layout, DENSITY)
        self._masks = [self._first_mask(cohort.seed, node) for node in range(len(cohort.parts))]
        self._weights = [dense_start(cohort) * mask for mask in self._masks]
        self._velocities = [torch.zeros(cohort.layout.size) for _ in cohort.parts]
        self._sent: list[Tensor | None] = [None] * len(cohort.parts)

    def round(self, number: int) -> None:
        """Send and average, train, prune and regrow."""
        self._count_messages()
        self._weights = [self._aggregated(node) for node in range(len(self._weights))]
        fraction = self._prune / 2 * (1 + math.cos(math.pi * (number + 1) / self._rounds))
        flips = []
        for node in range(len(self._weights)):
            self._train(node, decayed(self._rate, number, self._decay_rounds))
            before = self._masks[node]
            if fraction > 0 and number + 1 < self._rounds:
                self._search(node, fraction)
            flips.append(flipped(self._masks[node], before))
        self.traffic.flips = sum(flips) / len(flips)

    def personal(self, *, last: bool) -> Candidates:  # noqa: ARG002 (always quick)
        """Return the sparse models after local training."""
        return {"local": self._weights}

    def _first_mask(self, seed: int, node: int) -> Tensor:
        generator = np.random.Generator(np.random.PCG64([seed, node, len(self._neighbours)]))
        draws = torch.from_numpy(generator.random(self.network.layout.size, dtype=np.float32))
        return top_k(draws, self.network.layout, self._counts)

    def _count_messages(self) -> None:
        """Count the kept weights as floats, and the mask that says which they are."""
        for node, mask in enumerate(self._masks):
            kept = int(mask.count_nonzero())
            positions = mask_message(self.network.layout, mask, self._sent[node])
            message = float_message(kept) + Bits(positions.payload, positions.raw)
            self.traffic.count(node, message, len(self._neighbours[node]))
            self._sent[node] = mask

    def _aggregated(self, node: int) -> Tensor:
        """Average every kept weight over all that keep it."""
        group = [node, *self._neighbours[node]]
        total = torch.stack([self._weights[other] for other in group]).sum(dim=0)
        keepers = torch.stack([self._masks[other] for other in group]).sum(dim=0)
        return total / keepers.clamp_min(1) * self._masks[node]

    def _train(self, node: int, rate: float) -> None:
        weights, velocity, mask = self._weights[node], self._velocities[node], self._masks[node]
        for _ in range(self.local_steps):
            gradient = self.network.gradient(weights, node, *next(self._batches[node]))
            velocity.mul_(self._momentum).add_(gradient).mul_(mask)
            weights.sub_(velocity, alpha=rate)

    def _search(self, node: int, fraction: float) -> None:
        """Prune this fraction of each layer's kept weights by size, regrow as many by gradient, starting at 0."""
        layout, weights, mask = self.network.layout, self._weights[node], self._masks[node]
        counts = [
            min(round(fraction * count), layer.size - count)
            for layer, count in zip(layout.layers, self._counts, strict=True)
        ]
        gradient = self.network.gradient(weights, node, *next(self._batches[node])).abs()
        stay = tuple(count - moved for count, moved in zip(self._counts, counts, strict=True))
        kept = top_k(torch.where(mask, weights.abs(), -1.0), layout, stay)
        grown = top_k(torch.where(mask, -1.0, gradient), layout, tuple(counts))
        self._masks[node] = kept | grown
        self._weights[node] = weights * kept
        self._velocities[node] *= kept


def layer_counts(layout: MaskLayout, density: float) -> tuple[int, ...]:
    """Return how many weights each layer keeps: Erdos-Renyi-Kernel (Evci et al. 2020).

    A layer's density is proportional to the sum of its dimensions over their product, at most 1; all layers
    together have the density asked for.
    """
    raw = [sum(layer.shape) / layer.size for layer in layout.layers]
    full = [False] * len(raw)
    while True:
        left = density * layout.size - sum(layer.size for layer, f in zip(layout.layers, full, strict=True) if f)
        free = sum(r * layer.size for r, layer, f in zip(raw, layout.layers, full, strict=True) if not f)
        scale = left / free
        over = [not f and r * scale > 1 for r, f in zip(raw, full, strict=True)]
        if not any(over):
            break
        full = [f or o for f, o in zip(full, over, strict=True)]
    return tuple(
        layer.size if f else round(r * scale * layer.size) for r, layer, f in zip(raw, layout.layers, full, strict=True)
    )
