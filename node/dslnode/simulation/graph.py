"""Who is whose neighbour, as a value, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dslnode.errors import SettingsError

Neighbours = tuple[tuple[int, ...], ...]
"""For every node its neighbours in ascending order; never itself; if i has j, then j has i."""

MAX_NODES = 100_000
MAX_DEGREE = 100
"""As many neighbours as a daemon can have."""


def from_edges(count: int, edges: Iterable[tuple[int, int]]) -> Neighbours:
    """Return the neighbours of ``count`` nodes that these edges join."""
    around: list[set[int]] = [set() for _ in range(count)]
    for i, j in edges:
        around[i].add(j)
        around[j].add(i)
    return tuple(tuple(sorted(peers)) for peers in around)


def from_pairs(count: int, pairs: NDArray[np.int64]) -> Neighbours:
    """Return the neighbours of ``count`` nodes that these edges join, shape (edges, 2), each of them once.

    It takes a tenth of the memory of ``from_edges``, and the number of every node is held once.
    """
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[np.lexsort((both[:, 1], both[:, 0]))]
    ends = np.cumsum(np.bincount(both[:, 0], minlength=count)).tolist()
    numbers, peers = list(range(count)), both[:, 1]
    begins = [0, *ends[:-1]]
    return tuple(
        tuple(numbers[peer] for peer in peers[begin:end].tolist()) for begin, end in zip(begins, ends, strict=True)
    )


def edges_of(neighbours: Neighbours) -> list[tuple[int, int]]:
    """Return every edge once, the smaller node first, in ascending order."""
    return [(i, j) for i, peers in enumerate(neighbours) for j in peers if i < j]


def link_count(neighbours: Neighbours) -> int:
    """Return the number of directed links: every node sends to each of its neighbours."""
    return sum(map(len, neighbours))


def unlinked_count(neighbours: Neighbours) -> int:
    """Return how many nodes have no neighbour."""
    return sum(not peers for peers in neighbours)


def check_count(count: int) -> None:
    """Refuse a number of nodes that cannot be simulated. Raises ``SettingsError``."""
    if not 1 <= count <= MAX_NODES:
        raise SettingsError(f"--nodes {count}: simulate from 1 to {MAX_NODES:,} nodes")


def check_degrees(neighbours: Neighbours, topology: str = "") -> None:
    """Refuse a graph in which a node has more neighbours than a daemon can have. Raises ``SettingsError``."""
    check_degree(max(map(len, neighbours)), topology)


def check_degree(degree: float, topology: str = "") -> None:
    """Refuse a number of neighbours that a daemon cannot have. Raises ``SettingsError`` that names the topology."""
    if degree > MAX_DEGREE:
        raise SettingsError(
            f"--topology {topology}".rstrip() + f": a node would have {degree:g} neighbours, a daemon links with "
            f"{MAX_DEGREE} at most; take a sparser one, such as erdos:10"
        )


def is_connected(neighbours: Neighbours) -> bool:
    """Return whether every node can be reached from the first."""
    return len(_reached(neighbours, 0)) == len(neighbours)


def joined(neighbours: Neighbours) -> Neighbours:
    """Return the graph with an edge from each part to the one before, so that it is connected."""
    first_of_parts: list[int] = []
    seen: set[int] = set()
    for node in range(len(neighbours)):
        if node not in seen:
            first_of_parts.append(node)
            seen |= _reached(neighbours, node)
    around = list(neighbours)
    for i, j in pairwise(first_of_parts):
        around[i], around[j] = tuple(sorted((*around[i], j))), tuple(sorted((*around[j], i)))
    return tuple(around)


def _reached(neighbours: Neighbours, start: int) -> set[int]:
    reached, waiting = {start}, [start]
    while waiting:
        new = set(neighbours[waiting.pop()]) - reached
        reached |= new
        waiting += new
    return reached
