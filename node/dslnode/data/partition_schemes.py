"""Assigns the examples of a data set to n nodes: evenly, by whole classes, or in Dirichlet proportions.

Everything is drawn from a seed, so every node computes the draw of all nodes and takes its own part; no two
parts overlap. Positions are int64 arrays of indices into the examples; a share (i, n) is part i, from 1, of n.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

Positions = NDArray[np.int64]


class Draw(IntEnum):
    """Purpose of a random stream: each has its own, so that no draw changes another."""

    HELD_OUT = 1
    ORDER = 2
    CLASSES = 3
    PROPORTIONS = 4
    HELD_OUT_MIX = 5
    LIMIT = 6


def shuffled_by_class(labels: NDArray[np.int64], seed: int, draw: Draw) -> dict[int, Positions]:
    """Return the positions of each class that occurs, shuffled; classes in ascending order."""
    generator = _generator(seed, draw)
    return {int(label): generator.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)}


def assign_even(by_class: dict[int, Positions], share: tuple[int, int]) -> Positions:
    """Assign all examples in turn, class after class: shares differ by one at most, in all and in each class."""
    return np.concatenate(list(by_class.values()))[share[0] - 1 :: share[1]]


def assign_classes(by_class: dict[int, Positions], class_sets: list[list[int]], share: tuple[int, int]) -> Positions:
    """Divide each class evenly among the nodes that hold it; `class_sets` holds the classes of each node."""
    number = share[0]
    pieces = []
    for label in class_sets[number - 1]:
        holders = [node for node, classes in enumerate(class_sets, start=1) if label in classes]
        pieces.append(by_class[label][holders.index(number) :: len(holders)])
    return np.concatenate(pieces)


def draw_class_sets(present: list[int], count: int, shares: int, seed: int) -> list[list[int]]:
    """Draw `count` different classes for each of the shares, from the classes `present` (at least `count`).

    Classes are taken from a random permutation of all, and a new permutation follows when it runs out. So every
    class is held by some node if shares * count allows it, and all about equally often.
    """
    generator = _generator(seed, Draw.CLASSES)
    remaining: list[int] = []
    class_sets: list[list[int]] = []
    for _ in range(shares):
        classes, remaining = remaining[:count], remaining[count:]
        if len(classes) < count:
            permutation = [int(label) for label in generator.permutation(np.array(present))]
            added = [label for label in permutation if label not in classes][: count - len(classes)]
            classes, remaining = classes + added, [label for label in permutation if label not in added]
        class_sets.append(classes)
    return class_sets


def assign_dirichlet(
    by_class: dict[int, Positions], concentration: float, share: tuple[int, int], seed: int
) -> Positions:
    """Divide each class by proportions drawn from Dirichlet(concentration), one for each share."""
    number, shares = share
    generator = _generator(seed, Draw.PROPORTIONS)
    pieces = []
    for positions in by_class.values():
        proportions = generator.dirichlet(np.full(shares, concentration))
        ends = np.rint(np.cumsum(proportions) * len(positions)).astype(np.int64)
        ends[-1] = len(positions)  # whatever the rounding did
        pieces.append(positions[ends[number - 2] if number > 1 else 0 : ends[number - 1]])
    return np.concatenate(pieces)


def draw_matching(labels: NDArray[np.int64], by_class: dict[int, Positions]) -> Positions:
    """Take as many positions as possible from `by_class` with the mix of classes that `labels` have."""
    classes, counts = np.unique(labels, return_counts=True)
    wanted = {int(label): int(count) for label, count in zip(classes, counts, strict=True) if int(label) in by_class}
    if not wanted:
        return np.empty(0, dtype=np.int64)
    scale = min(len(by_class[label]) / count for label, count in wanted.items())
    return np.concatenate([by_class[label][: round(scale * count)] for label, count in wanted.items()])


def _generator(seed: int, draw: Draw) -> Generator:
    return Generator(PCG64([seed, draw]))
