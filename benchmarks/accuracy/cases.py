"""The cases of the table, and the world of one run: every node's own data, its neighbours, the network.

Validation images come out of the training images before anything is dealt to the nodes, so no node trains on
them; hyper-parameters are chosen on them. Test images are those of the data set itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.accuracy.graphs import GRAPHS
from benchmarks.daemons import FASHION_MNIST
from dslnode.data.dataset import DataSet, Examples, load_data_set
from dslnode.data.partition import PartitionSpec, parse_split, split_held_out, take_partition
from dslnode.learning.masking import layout_of
from dslnode.learning.models import alexnet, cnn, mlp
from dslnode.learning.options import UnevenClasses
from dslnode.protocol.mask import MaskLayout
from dslnode.simulation.graph import Neighbours
from dslnode.simulation.methods.cohort import Cohort

MODELS: dict[str, Callable[[tuple[int, ...], int], nn.Module]] = {"mlp": mlp, "cnn": cnn, "alexnet": alexnet}
VALIDATION_FRACTION = 0.05  # of the training images: 300 a class of Fashion-MNIST
VALIDATION_PER_CLASS = 100  # of these, what a node's choices are measured on
FIXED_SEED = 2025  # of the held-out images: the same in all runs, so that nothing leaks from seed to seed
UNEVEN_CLASSES: UnevenClasses = "by_frequency"
"""What all methods are measured on: examples as frequent as in a node's own data. Only Dirichlet splits are uneven."""
MIXED_RATIOS = (0.1, 0.2, 0.3, 0.5, 0.7)


@dataclass(frozen=True)
class Case:
    """One line of the table. ``images_per_class`` is what all nodes together have of each class to train on."""

    name: str
    split: str  # as --split
    images_per_class: int
    nodes: int = 20
    graph: str = "erdos-renyi"
    keep_ratios: tuple[float, ...] = ()  # dealt to the nodes in turn; none: the default's for all
    data: str = f"idx:{FASHION_MNIST}"


CASES = {
    case.name: case
    for case in (
        # With 4 classes on 20 nodes every class is held by 8 nodes: 875 / 8 = 109 images a class and node.
        Case("4-classes-437", "classes:4", 875),
        Case("4-classes-15-each", "classes:4", 8 * 15),
        Case("4-classes-50-each", "classes:4", 8 * 50),
        Case("3-classes-437", "classes:3", 875),
        Case("5-classes-437", "classes:5", 875),
        Case("dirichlet-0.1", "dirichlet:0.1", 875),
        Case("dirichlet-0.3", "dirichlet:0.3", 875),
        Case("ring-15-each", "classes:4", 8 * 15, graph="ring"),
        Case("complete-15-each", "classes:4", 8 * 15, graph="complete"),
        Case("mixed-keep-ratios", "classes:4", 8 * 15, keep_ratios=MIXED_RATIOS),
    )
}


def case_over(name: str, data: str | None) -> Case:
    """Return a case of the table; over other ``data``, as ``--data`` of the daemon, if given."""
    return CASES[name] if data is None else replace(CASES[name], data=data)


QUICK_CASES = ("4-classes-437", "4-classes-15-each")


@dataclass(frozen=True, eq=False)
class NodeData:
    """What one node has: examples to train on, to choose by, and to be measured on."""

    train: DataSet
    validation: Examples
    test: Examples

    @cached_property
    def classes(self) -> tuple[int, ...]:
        """The classes that the node has examples of."""
        return tuple(int(label) for label in np.unique(self.train.train.labels))


@dataclass(frozen=True, eq=False)
class World:
    """All that the methods of one case and seed have in common."""

    case: Case
    model_name: str
    seed: int
    nodes: tuple[NodeData, ...]
    neighbours: Neighbours

    def model(self) -> nn.Module:
        """Return a fresh model for this data; what weights it has does not matter."""
        data = self.nodes[0].train
        return MODELS[self.model_name](data.input_shape, data.class_count)

    @cached_property
    def layout(self) -> MaskLayout:
        """The model's weights as one flat vector; the built-in models have no other parameters."""
        model = self.model()
        layout = layout_of(model)
        assert layout.size == sum(parameter.numel() for parameter in model.parameters())
        return layout

    @cached_property
    def cohort(self) -> Cohort:
        """The same nodes as the methods take them."""
        parts = tuple(data.train for data in self.nodes)
        return Cohort(parts, self.neighbours, self.model, self.layout, self.seed, uneven_classes=UNEVEN_CLASSES)


def build_world(case: Case, model_name: str, seed: int, test_per_class: int | None = None) -> World:
    """Deal the data and draw the graph. ``test_per_class`` limits the test images, None takes them all."""
    nodes = tuple(_node_data(case, number, seed, test_per_class) for number in range(1, case.nodes + 1))
    return World(case, model_name, seed, nodes, GRAPHS[case.graph](case.nodes, seed))


def missing_data(case: Case) -> str | None:
    """Return what to say if the case's data are not on this machine."""
    if case.data.startswith("idx:") and not Path(case.data.removeprefix("idx:")).exists():
        return f"{case.name}: {case.data.removeprefix('idx:')} is not here (Debian's dataset-fashion-mnist): left out"
    return None


@lru_cache(maxsize=2)
def pools(data: str) -> tuple[DataSet, Examples]:
    """Return the data to deal, with its test images, and the validation images, which nobody trains on."""
    whole = split_held_out(load_data_set(data), 0.2, FIXED_SEED)
    parts = split_held_out(replace(whole, held_out=None), VALIDATION_FRACTION, FIXED_SEED)
    assert parts.held_out is not None
    return replace(parts, held_out=whole.held_out), parts.held_out


@lru_cache(maxsize=2)
def _training_pool(data: str, images_per_class: int, seed: int) -> DataSet:
    return take_partition(pools(data)[0], PartitionSpec(samples_per_class=images_per_class, seed=seed))


def _node_data(case: Case, number: int, seed: int, test_per_class: int | None) -> NodeData:
    pool = _training_pool(case.data, case.images_per_class, seed)
    part = PartitionSpec(share=(number, case.nodes), split=parse_split(case.split), seed=seed)
    tested = take_partition(pool, part)
    validated = take_partition(replace(pool, held_out=pools(case.data)[1]), part)
    assert tested.held_out is not None
    assert validated.held_out is not None
    return NodeData(
        replace(tested, train=_channels_last(tested.train), held_out=None),
        _channels_last(_thinned(validated.held_out, VALIDATION_PER_CLASS)),
        _channels_last(_thinned(tested.held_out, test_per_class)),
    )


def _channels_last(examples: Examples) -> Examples:
    """Lay images out so that convolutions take a fifth less time; shape and values stay as they are."""
    stored = torch.from_numpy(examples.stored)
    if stored.ndim != 4:
        return examples
    return replace(examples, stored=stored.to(memory_format=torch.channels_last).numpy())


def _thinned(examples: Examples, per_class: int | None) -> Examples:
    """Keep every n-th example, so that the mix of classes stays and the commonest class has at most ``per_class``."""
    commonest = int(np.bincount(examples.labels).max())
    if per_class is None or commonest <= per_class:
        return examples
    order = np.argsort(examples.labels, kind="stable")
    return examples.take(np.sort(order[:: -(-commonest // per_class)]))
