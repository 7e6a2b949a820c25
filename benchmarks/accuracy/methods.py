"""The methods of the table: how each is built, with which options, and what was tried to choose those.

Every baseline gets what it needs to be at its best: rate, own classes or all, chosen on validation (``--tune``
writes the choice to tuned.json, with all that was tried). Ours runs on the daemon's defaults in every case, and is told
what is measured (`masks.MEASURED_FOR`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.accuracy.cases import CASES, World
from benchmarks.accuracy.masks import MaskGossip, learning_options
from dslnode.config.presets import PRESETS
from dslnode.simulation.methods.method import LOCAL_STEPS, Method
from dslnode.simulation.methods.recipes import METHODS, Options

TUNED_CASES = ("4-classes-15-each", "4-classes-437")
"""The cases that every baseline is tuned for; others borrow from them."""
TUNED_FILE = Path(__file__).with_name("tuned.json")


@dataclass(frozen=True)
class Recipe:
    """How to build a method: from the world, its options and the number of rounds.

    ``stages`` is the grid: each stage tries its changes on top of the best options so far.
    """

    build: Callable[[World, Options, int], Method]
    options: Options = field(default_factory=dict)
    stages: tuple[tuple[Options, ...], ...] = ()
    masked: bool = False  # options are the daemon's settings

    def identity(self, options: Mapping[str, Any]) -> Options:
        """Return all that the result depends on, so that a stored one is used only if nothing changed."""
        return learning_options(options) if self.masked else dict(options)

    def local_steps(self, options: Mapping[str, Any]) -> int:
        """Return the local steps of a round."""
        found = learning_options(options) if self.masked else {"local_steps": LOCAL_STEPS, **options}
        return int(found["local_steps"])


def _rates(*rates: float) -> tuple[Options, ...]:
    return tuple({"rate": rate} for rate in rates)


EITHER_CLASSES: tuple[Options, ...] = ({"own_classes": True}, {"own_classes": False})
SGD_STAGES = (
    tuple({"rate": rate, "cosine": cosine} for rate in (0.01, 0.03, 0.1) for cosine in (True, False)),
    EITHER_CLASSES,
)


def _compared(name: str, stages: tuple[tuple[Options, ...], ...]) -> Recipe:
    recipe = METHODS[name]
    return Recipe(lambda world, options, rounds: recipe.build(world.cohort, options, rounds), recipe.options, stages)


RECIPES: dict[str, Recipe] = {
    "ours": Recipe(lambda world, options, _: MaskGossip(world, options), masked=True),
    "ours_binary": Recipe(lambda world, options, _: MaskGossip(world, options), {"personal": "binary"}, masked=True),
    "ours_graded": Recipe(lambda world, options, _: MaskGossip(world, options), {"personal": "graded"}, masked=True),
    "masks_alone": Recipe(lambda world, options, _: MaskGossip(world, options, linked=False), masked=True),
    "authors": Recipe(lambda world, options, _: MaskGossip(world, options), PRESETS["authors"], masked=True),
    "dense_alone": _compared("dense_alone", SGD_STAGES),
    "dpsgd": _compared("dpsgd", SGD_STAGES),
    "dpsgd_finetuned": _compared("dpsgd_finetuned", SGD_STAGES),
    "dispfl": _compared("dispfl", (*SGD_STAGES, ({"prune": 0.05}, {"prune": 0.2}, {"prune": 0.5}))),
    "fedpm": _compared("fedpm", (_rates(0.03, 0.1, 0.3), EITHER_CLASSES, ({"reset": 1}, {"reset": 5}))),
}


def chosen_options(method: str, case: str, model: str, data: str | None = None) -> Options:
    """Return the options tuned for this case, model and data, else for the 4-class case of the nearest size, else the
    other one, else the recipe's own.
    """
    recipe = RECIPES[method]
    tuned = tuned_table()
    for name in (case, *sorted(TUNED_CASES, key=lambda other: _difference_of_sizes(case, other))):
        place = tuned.get(tuned_for(model, name, data), {})
        if recipe.stages and method in place:
            return {**recipe.options, **place[method]["options"]}
    return dict(recipe.options)


def _difference_of_sizes(case: str, other: str) -> int:
    return abs(CASES[case].images_per_class - CASES[other].images_per_class)


def tuned_for(model: str, case: str, data: str | None) -> str:
    """Return the place of a choice in the table; ``data`` as ``--data``, of which only the kind counts."""
    return f"{model}/{case}" if data is None else f"{model}/{case}/{data.partition(':')[0]}"


def tuned_table() -> dict[str, dict[str, Any]]:
    """Return what ``--tune`` chose: by model, case and other data, then by method."""
    if not TUNED_FILE.exists():
        return {}
    table: dict[str, dict[str, Any]] = json.loads(TUNED_FILE.read_text(encoding="utf-8"))
    return table
