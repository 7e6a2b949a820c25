"""Worlds in which it is known who was trained on what: each run trains on a random half of every node's candidates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy.cases import NodeData, World

Flags = NDArray[np.bool_]


def halves(world: World, run: int) -> tuple[World, list[Flags]]:
    """Return the world in which each node trains on half of its examples of each class, and which those are.

    ``run`` is the number of the draw, from 0: the second of each pair of runs takes what the first one left, so that
    each candidate is in half of the runs.
    """
    chosen = [_half(data, world.seed, node, run) for node, data in enumerate(world.nodes)]
    nodes = tuple(_trained_on(data, members) for data, members in zip(world.nodes, chosen, strict=True))
    return replace(world, nodes=nodes), chosen


def _half(data: NodeData, seed: int, node: int, run: int) -> Flags:
    draws = np.random.default_rng([seed, node, run // 2])
    labels = data.train.train.labels
    members = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        own = draws.permutation(np.flatnonzero(labels == label))
        members[own[: len(own) // 2]] = True
    return members if run % 2 == 0 else ~members


def _trained_on(data: NodeData, members: Flags) -> NodeData:
    return replace(data, train=replace(data.train, train=data.train.train.take(np.flatnonzero(members))))
