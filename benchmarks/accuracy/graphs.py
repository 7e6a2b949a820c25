"""Who is whose neighbour, drawn from a seed, and the averaging weights that gossip needs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Neighbours = tuple[tuple[int, ...], ...]
"""For every node its neighbours in ascending order; never itself; if i has j, then j has i."""

EDGE_PROBABILITY = 0.55  # of the authors' graph: 20 nodes, mean degree 10.4


def erdos_renyi(count: int, seed: int, probability: float = EDGE_PROBABILITY) -> Neighbours:
    """Draw every edge with the same probability, again and again until the graph is connected."""
    generator = np.random.Generator(np.random.PCG64([seed, count]))
    while True:
        upper = np.triu(generator.random((count, count)) < probability, k=1)
        neighbours = _from_edges(upper | upper.T)
        if is_connected(neighbours):
            return neighbours


def ring(count: int, _seed: int = 0) -> Neighbours:
    """Join every node to the one before and the one after."""
    return tuple(tuple(sorted({(i - 1) % count, (i + 1) % count} - {i})) for i in range(count))


def complete(count: int, _seed: int = 0) -> Neighbours:
    """Join every node to every other."""
    return tuple(tuple(j for j in range(count) if j != i) for i in range(count))


GRAPHS: dict[str, Callable[[int, int], Neighbours]] = {"erdos-renyi": erdos_renyi, "ring": ring, "complete": complete}


def is_connected(neighbours: Neighbours) -> bool:
    """Return whether every node can be reached from the first."""
    reached, waiting = {0}, [0]
    while waiting:
        new = set(neighbours[waiting.pop()]) - reached
        reached |= new
        waiting += new
    return len(reached) == len(neighbours)


def link_count(neighbours: Neighbours) -> int:
    """Return the number of directed links: every node sends to each of its neighbours."""
    return sum(map(len, neighbours))


def metropolis(neighbours: Neighbours) -> list[dict[int, float]]:
    """Return each node's averaging weights, itself included: symmetric, summing to 1 (Metropolis and Hastings)."""
    rows = []
    for i, around in enumerate(neighbours):
        row = {j: 1 / (1 + max(len(around), len(neighbours[j]))) for j in around}
        rows.append({i: 1 - sum(row.values()), **row})
    return rows


def _from_edges(edges: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Neighbours:
    return tuple(tuple(int(j) for j in np.flatnonzero(row)) for row in edges)
