"""What there is to see of a node after learning: the model that it exports, and what its neighbours hold of it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.accuracy.cases import World
from benchmarks.accuracy.masks import MaskGossip, node_name
from benchmarks.accuracy.methods import RECIPES
from dslnode.learning.graded_mask import graded_strengths
from dslnode.learning.learner import Learner
from dslnode.simulation.methods.dense import Dense
from dslnode.simulation.methods.method import Method

View = Callable[[Method], list[Tensor]]
EXPORTED, REPLICA, SENT = "exported model", "a neighbour's replica", "the last weights sent"


def views_of(method: str) -> dict[str, View]:
    """Return what can be seen of a method's nodes, by its name; each gives every node's weights (weights,)."""
    if method == "dpsgd":
        return {EXPORTED: _exported, SENT: _last_sent}
    if method.startswith("ours"):
        return {EXPORTED: _exported, REPLICA: _replicas}
    return {EXPORTED: _exported}


def learned(world: World, method: str, options: dict[str, object], steps: int) -> Method:
    """Return a method after all its rounds."""
    torch.set_num_threads(1)
    torch.manual_seed(world.seed)
    recipe = RECIPES[method]
    rounds = max(1, steps // recipe.local_steps(options))
    built = recipe.build(world, options, rounds)
    for number in range(rounds):
        built.round(number)
    return built


def _exported(method: Method) -> list[Tensor]:
    return next(iter(method.personal(last=False).values()))


def _last_sent(method: Method) -> list[Tensor]:
    assert isinstance(method, Dense)
    return method.trained


def _replicas(method: Method) -> list[Tensor]:
    """Return the models that follow from the replicas at each node's first neighbour.

    An attacker knows the frozen network, the keep counts, and how masks and strengths follow from scores. What it lacks
    is what the node made of its other neighbours' masks.
    """
    assert isinstance(method, MaskGossip)
    return [
        _model_of(learner, method.learners[around[0]].replica_of(node_name(node)))
        for node, (learner, around) in enumerate(zip(method.learners, method.neighbours, strict=True))
    ]


def _model_of(learner: Learner, replica: Tensor) -> Tensor:
    network = learner.network
    return network.weights * graded_strengths(network, network.expand_scores(replica), learner.options)
