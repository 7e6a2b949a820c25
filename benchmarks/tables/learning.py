"""Nodes that learn a table alone and together, in one process, by the public Python API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

import dslnode
from dslnode.data.dataset import DataSet, Examples
from dslnode.learning.learner import Learner
from dslnode.learning.options import TrainingOptions
from dslnode.protocol.messages import MaskMessage

NODES = 4
TEST = 1 / 3
"""Part of a table that tests what the nodes export. No node trains on it or chooses its model by it."""
TURN = 0.382
"""How far the keys of rows turn with each seed, so that seeds test other rows; a part of the whole circle."""


def parts_of(data: DataSet, seed: int) -> tuple[list[DataSet], Examples]:
    """Return what each node holds, and the examples that test all of them.

    Rows are tested by their keys, other ones with each seed. Windows of a series are tested if they lie at its end.
    """
    rest, test = _split(data, seed)
    return [dslnode.partition(rest, share=(number, NODES), seed=seed) for number in range(1, NODES + 1)], test


def _split(data: DataSet, seed: int) -> tuple[DataSet, Examples]:
    keys = data.train.keys
    if keys is None:
        raise ValueError(f"{data.name}: its examples have no keys to test by")
    if keys.ndim == 1:
        keys = (keys + TURN * seed) % 1.0
    pairs = keys.reshape(len(keys), -1)
    tested, left = np.flatnonzero(pairs.max(axis=1) < TEST), np.flatnonzero(pairs.min(axis=1) >= TEST)
    own = (keys[left] - TEST) / (1 - TEST)  # those that stay are held out by the same order
    return replace(data, train=replace(data.train.take(left), keys=own), held_out=None), data.train.take(tested)


def learn_alone(parts: Sequence[DataSet], rounds: int, seed: int) -> list[Learner]:
    """Return the nodes after so many rounds without neighbours."""
    nodes = _nodes(parts, seed)
    for node in nodes:
        for _ in range(rounds):
            node.train_round()
            node.aggregate([])
            _keep(node)
    return nodes


def learn_together(parts: Sequence[DataSet], rounds: int, seed: int) -> list[Learner]:
    """Return the nodes after so many rounds in which each hears the sign masks of all others."""
    nodes = dict(enumerate(_nodes(parts, seed)))
    pairs = [(me, other) for me in nodes for other in nodes if me != other]
    for me, other in pairs:
        nodes[me].resynchronize(str(other), nodes[other].open_exchange(str(me)))
    for number in range(rounds):
        for node in nodes.values():
            node.train_round(number)
        sent = {me: node.make_steps(number, _others(nodes, me)) for me, node in nodes.items()}
        for me, node in nodes.items():
            node.aggregate([_heard(other, sent[other].get(str(me))) for other in nodes if other != me])
            _keep(node)
    return list(nodes.values())


def test_score(node: Learner, test: Examples) -> float:
    """Return the score of what the node exports, on examples that it has never seen."""
    centre, scale = node.task.original_units()
    inputs = torch.from_numpy(test.images)
    with torch.no_grad():
        outputs = (node.export()(inputs) - centre) / scale
        predictions = node.task.predictions(outputs, inputs).numpy()
    return node.task.score(predictions, node.task.targets(test))


def _nodes(parts: Sequence[DataSet], seed: int) -> list[Learner]:
    nodes = [
        Learner("auto", part, TrainingOptions(), dslnode.InitializationOptions(network_seed=seed, node_seed=number))
        for number, part in enumerate(parts)
    ]
    for node in nodes:
        _keep(node)  # a node that nothing can teach answers as it began: with about the mean
    return nodes


def _others(nodes: Mapping[int, Learner], me: int) -> list[str]:
    return [str(other) for other in nodes if other != me]


def _keep(node: Learner) -> None:
    score = node.score()
    if score is not None:
        node.keep_if_best(score)


def _heard(other: int, message: object) -> dslnode.NeighbourMasks:
    signs = (message,) if isinstance(message, MaskMessage) else ()
    return dslnode.NeighbourMasks(str(other), None, signs, 0)
