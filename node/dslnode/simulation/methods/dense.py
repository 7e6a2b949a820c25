"""Dense float32 training: every node alone, or D-PSGD (Lian et al. 2017), with or without personal fine-tuning."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from dslnode.simulation.methods.bits import float_message
from dslnode.simulation.methods.cohort import Cohort
from dslnode.simulation.methods.method import LOCAL_STEPS, Candidates, Traffic
from dslnode.simulation.methods.mixing import metropolis
from dslnode.simulation.methods.network import build_network, dense_start, streams

Measured = Literal["alone", "averaged", "finetuned"]
FINE_TUNING_STEPS = 2 * LOCAL_STEPS
GENTLE = 0.1  # of the rate: local steps at the full one are noisy


class Dense:
    """SGD with momentum on all weights; unless ``alone``, a Metropolis average with the neighbours ends a round.

    ``averaged`` measures the average; ``finetuned`` the models after the local steps that precede the averaging, or
    the average after further local steps, which come on top of the budget of the other methods. ``cosine`` lets
    the rate fall to zero over the ``rounds``.
    """

    def __init__(
        self,
        cohort: Cohort,
        measured: Measured,
        rounds: int,
        *,
        rate: float,
        momentum: float,
        own_classes: bool,
        cosine: bool,
        local_steps: int = LOCAL_STEPS,
    ) -> None:
        self.network = build_network(cohort, own_classes=own_classes)
        self.traffic = Traffic()
        self.local_steps = local_steps
        self.form = "float32"
        self._measured = measured
        self._rate = rate
        self._rounds = rounds if cosine else None
        self._momentum = momentum
        self._mixing = metropolis(cohort.neighbours)
        self._neighbours = cohort.neighbours
        self._batches = streams(cohort)
        self._weights = [dense_start(cohort) for _ in cohort.parts]
        self._velocities = [torch.zeros(cohort.layout.size) for _ in cohort.parts]
        self.trained = self._weights

    def round(self, number: int) -> None:
        """Let every node train, then average unless alone."""
        rate = decayed(self._rate, number, self._rounds)
        for node in range(len(self._weights)):
            self._train(node, self._weights[node], self._velocities[node], self.local_steps, rate)
        if self._measured == "alone":
            return
        self.trained = self._weights
        self._weights = [average(self.trained, row) for row in self._mixing]
        for node, around in enumerate(self._neighbours):
            self.traffic.count(node, float_message(self.network.layout.size), len(around))

    def personal(self, *, last: bool) -> Candidates:
        """Return the models, see the class."""
        if self._measured != "finetuned":
            return {"local" if self._measured == "alone" else "averaged": self._weights}
        found = {"local": self.trained}
        if last:
            nodes = range(len(self._weights))
            found["finetuned"] = [self._finetuned(node, self._rate) for node in nodes]
            found["finetuned gently"] = [self._finetuned(node, GENTLE * self._rate) for node in nodes]
        return found

    def _finetuned(self, node: int, rate: float) -> Tensor:
        weights = self._weights[node].clone()
        self._train(node, weights, torch.zeros_like(weights), FINE_TUNING_STEPS, rate)
        return weights

    def _train(self, node: int, weights: Tensor, velocity: Tensor, steps: int, rate: float) -> None:
        for _ in range(steps):
            gradient = self.network.gradient(weights, node, *next(self._batches[node]))
            velocity.mul_(self._momentum).add_(gradient)
            weights.sub_(velocity, alpha=rate)


def decayed(rate: float, number: int, rounds: int | None) -> float:
    """Return a round's learning rate, falling to zero along a cosine; the rate itself without ``rounds``."""
    return rate if rounds is None else rate / 2 * (1 + math.cos(math.pi * number / rounds))


def average(vectors: list[Tensor], row: dict[int, float]) -> Tensor:
    """Return the weighted sum of some of the vectors; ``row`` has their positions and weights."""
    total = torch.zeros_like(vectors[0])
    for position, weight in row.items():
        total.add_(vectors[position], alpha=weight)
    return total
