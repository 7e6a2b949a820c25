"""FedPM (Isik et al. 2023) by gossip: every node holds a probability for each frozen weight, and sends samples.

A round: local steps on scores whose sigmoid is the probability, with a mask sampled anew for every step
(straight-through); send one sampled mask; take the mean of a Beta posterior over the sampled masks, one's own
and the neighbours', as the new probabilities. The posterior forgets its past every ``reset`` rounds, as in the paper.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dslnode.learning.frozen_network import frozen_weights
from dslnode.simulation.methods.bits import flipped, mask_message
from dslnode.simulation.methods.cohort import Cohort
from dslnode.simulation.methods.method import LOCAL_STEPS, Candidates, Traffic
from dslnode.simulation.methods.network import build_network, streams

PRIOR = 1.0  # lambda_0 of the Beta prior
LEAST = 0.01  # probabilities stay this far from 0 and 1, so that scores stay finite
SECOND_MOMENT = 0.999


class FedPM:
    """All nodes of a run. ``rate`` is Adam's, on the scores; ``momentum`` its first moment's memory."""

    def __init__(
        self,
        cohort: Cohort,
        *,
        rate: float,
        momentum: float,
        reset: int,
        own_classes: bool,
        local_steps: int = LOCAL_STEPS,
    ) -> None:
        self.network = build_network(cohort, own_classes=own_classes)
        self.traffic = Traffic()
        self.local_steps = local_steps
        self.form = "float32"
        self._rate, self._momentum, self._reset = rate, momentum, reset
        self._neighbours = cohort.neighbours
        self._batches = streams(cohort)
        ratios = tuple(0.5 for _ in cohort.layout.layers)  # the mean of the first probabilities
        self._frozen = frozen_weights(cohort.layout, cohort.seed, ratios)
        first = np.random.Generator(np.random.PCG64([cohort.seed, 0])).random(cohort.layout.size, dtype=np.float32)
        self._probabilities = [torch.from_numpy(first).clamp(LEAST, 1 - LEAST) for _ in cohort.parts]
        self._trained = self._probabilities
        self._ones = [torch.zeros(cohort.layout.size) for _ in cohort.parts]
        self._counts = [0] * len(cohort.parts)
        self._draws = [torch.Generator().manual_seed(1000 * cohort.seed + node) for node in range(len(cohort.parts))]
        self._sent: list[Tensor | None] = [None] * len(cohort.parts)

    def round(self, number: int) -> None:
        """Train all, then send and aggregate."""
        nodes = range(len(self._probabilities))
        self._trained = [torch.sigmoid(self._train(node)) for node in nodes]
        sampled = [self._sample(node, self._trained[node]) for node in nodes]
        self._count_messages(sampled)
        for node in nodes:
            if number % self._reset == 0:
                self._ones[node].zero_()
                self._counts[node] = 0
            self._aggregate(node, sampled)

    def personal(self, *, last: bool) -> Candidates:  # noqa: ARG002 (always quick)
        """Return the models after local training: expected, sampled, and with the likelier half of each bit."""
        nodes = range(len(self._trained))
        return {
            "expected": [self._frozen * self._trained[node] for node in nodes],
            "likelier": [self._frozen * (self._trained[node] > 0.5) for node in nodes],
        }

    def _train(self, node: int) -> Tensor:
        """Return the scores after the local steps; Adam is reset, since aggregation moved the scores."""
        scores = torch.logit(self._probabilities[node])
        velocity, squares = torch.zeros_like(scores), torch.zeros_like(scores)
        for step in range(1, self.local_steps + 1):
            probabilities = torch.sigmoid(scores)
            mask = self._sample(node, probabilities)
            at_weights = self.network.gradient(self._frozen * mask, node, *next(self._batches[node]))
            gradient = at_weights * self._frozen * probabilities * (1 - probabilities)
            velocity.lerp_(gradient, 1 - self._momentum)
            squares.mul_(SECOND_MOMENT).addcmul_(gradient, gradient, value=1 - SECOND_MOMENT)
            size = (squares / (1 - SECOND_MOMENT**step)).sqrt_().add_(1e-12)
            scores.addcdiv_(velocity, size, value=-self._rate / (1 - self._momentum**step))
        return scores

    def _sample(self, node: int, probabilities: Tensor) -> Tensor:
        return torch.rand(probabilities.shape, generator=self._draws[node]) < probabilities

    def _aggregate(self, node: int, sampled: list[Tensor]) -> None:
        """Take the neighbours' samples and the node's own probabilities, which it need not sample, as evidence."""
        ones = self._ones[node]
        ones += self._trained[node]
        for peer in self._neighbours[node]:
            ones += sampled[peer]
        self._counts[node] += 1 + len(self._neighbours[node])
        mean = (ones + PRIOR - 1) / (self._counts[node] + 2 * (PRIOR - 1))
        self._probabilities[node] = mean.clamp(LEAST, 1 - LEAST)

    def _count_messages(self, sampled: list[Tensor]) -> None:
        layout, flips = self.network.layout, []
        for node, mask in enumerate(sampled):
            previous, self._sent[node] = self._sent[node], mask
            self.traffic.count(node, mask_message(layout, mask, previous), len(self._neighbours[node]))
            flips.append(1.0 if previous is None else flipped(mask, previous))
        self.traffic.flips = sum(flips) / len(flips)
        self.traffic.density = sum(float(mask.float().mean()) for mask in sampled) / len(sampled)
