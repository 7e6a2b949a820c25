"""The methods by name: how each is built, and the options that it has unless others are chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dslnode.simulation.methods.cohort import Cohort
from dslnode.simulation.methods.dense import Dense
from dslnode.simulation.methods.dispfl import DisPFL
from dslnode.simulation.methods.fedpm import FedPM
from dslnode.simulation.methods.method import Method

Options = dict[str, Any]
SGD: Options = {"rate": 0.03, "momentum": 0.9, "own_classes": True, "cosine": False}


@dataclass(frozen=True)
class MethodRecipe:
    """How to build a method: from its nodes, its options and the number of rounds."""

    build: Callable[[Cohort, Options, int], Method]
    options: Options


METHODS: dict[str, MethodRecipe] = {
    "dense_alone": MethodRecipe(lambda cohort, options, rounds: Dense(cohort, "alone", rounds, **options), SGD),
    "dpsgd": MethodRecipe(lambda cohort, options, rounds: Dense(cohort, "averaged", rounds, **options), SGD),
    "dpsgd_finetuned": MethodRecipe(lambda cohort, options, rounds: Dense(cohort, "finetuned", rounds, **options), SGD),
    "dispfl": MethodRecipe(lambda cohort, options, rounds: DisPFL(cohort, rounds, **options), {**SGD, "prune": 0.2}),
    "fedpm": MethodRecipe(
        lambda cohort, options, _: FedPM(cohort, **options),
        {"rate": 0.1, "momentum": 0.9, "reset": 1, "own_classes": True},
    ),
}
