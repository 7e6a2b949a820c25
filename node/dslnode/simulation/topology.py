"""Graphs as a user names them: drawn from a seed, or read from a file of edges."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dslnode.errors import SettingsError
from dslnode.simulation.edge_file import read_edges
from dslnode.simulation.graph import (
    MAX_DEGREE,
    MAX_NODES,
    Neighbours,
    check_count,
    check_degree,
    check_degrees,
    from_edges,
    from_pairs,
    is_connected,
    joined,
)

Generator = np.random.Generator

FORMS = "ring, complete, erdos:DEGREE, geometric[:DEGREE], barabasi[:LINKS] or a file of edges"
USUAL_TOPOLOGY = "erdos:6"
EDGE_PROBABILITY = 0.55
"""Of the authors' graph: 20 nodes, mean degree 10.4."""
MAX_DRAWS = 10
"""Draws of a random graph until it is connected; the parts of the last one are joined."""
MAX_PAIRWISE_NODES = 3_000
"""In larger random graphs not every pair is drawn, which would take minutes."""
GEOMETRIC_DEGREE = 8.0
BARABASI_LINKS = 3
MAX_BARABASI_LINKS = 30


def topology_of(text: str, count: int | None, seed: int, *, usual: int = 20) -> Neighbours:
    """Return the graph that a setting names, over ``count`` nodes.

    Without a count there are as many as the file of edges has, else the ``usual`` number. Raises ``SettingsError`` if
    the text is no topology, the file of edges cannot be used, or a node would have more neighbours than a daemon can
    have: before the graph is drawn, where that can be known.
    """
    size = usual if count is None else count
    check_count(size)
    drawing = _drawing(text, size, seed)
    if drawing is None:
        try:
            neighbours = read_edges(Path(text), count)
        except FileNotFoundError as error:
            raise SettingsError(f"--topology {text}: is none of {FORMS}, and there is no such file") from error
    else:
        neighbours = drawing()
    check_degrees(neighbours, text)
    return neighbours


def _drawing(text: str, count: int, seed: int) -> Callable[[], Neighbours] | None:
    """Return what draws the graph of this name; None if it is none. Raises ``SettingsError`` if it would be too dense.

    What is compared here is the number of neighbours in the mean.
    """
    name, colon, number = text.partition(":")
    if name == "ring" and not colon:
        return lambda: ring(count)
    if name == "complete" and not colon:
        check_degree(count - 1, text)
        return lambda: complete(count)
    if name == "barabasi":
        links = _links(text, number) if colon else BARABASI_LINKS
        return lambda: barabasi(count, seed, links)
    if name not in ("erdos", "geometric"):
        return None
    degree = GEOMETRIC_DEGREE if name == "geometric" and not colon else _degree(text, number)
    check_degree(min(degree, count - 1), text)
    if name == "geometric":
        return lambda: geometric(count, seed, degree)
    return lambda: erdos_renyi(count, seed, min(1.0, degree / max(1, count - 1)))


def ring(count: int, _seed: int = 0) -> Neighbours:
    """Join every node to the one before and the one after."""
    return tuple(tuple(sorted({(i - 1) % count, (i + 1) % count} - {i})) for i in range(count))


def complete(count: int, _seed: int = 0) -> Neighbours:
    """Join every node to every other."""
    return tuple(tuple(j for j in range(count) if j != i) for i in range(count))


def erdos_renyi(count: int, seed: int, probability: float = EDGE_PROBABILITY) -> Neighbours:
    """Draw every edge with the same probability, above 0 to 1, and join the parts of the graph that hardly connects.

    Up to ``MAX_PAIRWISE_NODES`` every pair is drawn, until the graph is connected. A larger one is drawn once, by how
    many pairs lie between one edge and the next (Batagelj and Brandes 2005): another graph of the same distribution.
    """
    generator = np.random.Generator(np.random.PCG64([seed, count]))
    if count > MAX_PAIRWISE_NODES:
        return joined(from_pairs(count, _skipping_pairs(count, generator, probability)))
    for _ in range(MAX_DRAWS):
        neighbours = from_edges(count, _drawn_pairs(count, generator, probability))
        if is_connected(neighbours):
            return neighbours
    return joined(neighbours)


def geometric(count: int, seed: int, degree: float = GEOMETRIC_DEGREE) -> Neighbours:
    """Join nodes that are near each other in a unit square, about ``degree`` of them to each, as boards in radio reach.

    Parts that are out of reach are joined by one edge each.
    """
    points = np.random.Generator(np.random.PCG64([seed, count])).random((count, 2))
    reach = math.sqrt(degree / (math.pi * max(1, count)))
    return joined(from_edges(count, _near_pairs(points, reach)))


def barabasi(count: int, seed: int, links: int = BARABASI_LINKS) -> Neighbours:
    """Join every new node to ``links`` earlier ones, drawn by how many neighbours they have (Barabási, Albert 1999).

    A node that has ``MAX_DEGREE`` of them gets no more.
    """
    generator = np.random.Generator(np.random.PCG64([seed, count]))
    first = min(count, links + 1)
    edges = [(i, j) for i in range(first) for j in range(i)]
    ends = [node for edge in edges for node in edge]
    degrees = [0] * count
    for node in range(first, count):
        chosen: set[int] = set()
        while len(chosen) < links:
            drawn = ends[int(generator.integers(len(ends)))]
            if degrees[drawn] < MAX_DEGREE - links:
                chosen.add(drawn)
        for other in sorted(chosen):
            edges.append((node, other))
            ends += [node, other]
            degrees[other] += 1
    return from_edges(count, edges)


def _drawn_pairs(count: int, generator: Generator, probability: float) -> list[tuple[int, int]]:
    """Draw all pairs, row by row: no more than one row of a large graph is in memory."""
    rows = (generator.random(count) < probability for _ in range(count))
    return [(i, int(j)) for i, row in enumerate(rows) for j in np.flatnonzero(row[i + 1 :]) + i + 1]


def _skipping_pairs(count: int, generator: Generator, probability: float) -> NDArray[np.int64]:
    """Draw as many numbers as there are edges; return the pairs, shape (edges, 2), the larger node first.

    Pairs are counted row by row: (1, 0), (2, 0), (2, 1), (3, 0), ...
    """
    pairs = count * (count - 1) // 2
    usual = int(pairs * probability + 5 * math.sqrt(pairs * probability)) + 10
    places, end = [], -1
    while end < pairs:
        places.append(end + np.cumsum(generator.geometric(probability, usual)))
        end = int(places[-1][-1])
    found = np.concatenate(places)
    found = found[found < pairs]
    rows = ((1 + np.sqrt(1 + 8 * found.astype(np.float64))) / 2).astype(np.int64)
    rows -= rows * (rows - 1) // 2 > found  # the root may be rounded up
    return np.stack([rows, found - rows * (rows - 1) // 2], axis=1)


def _near_pairs(points: NDArray[np.float64], reach: float) -> list[tuple[int, int]]:
    """Return the pairs of points, shape (n, 2), within reach; only those of neighbouring cells are compared."""
    cells: dict[tuple[int, int], list[int]] = {}
    places = np.floor(points / reach).astype(int)
    for node, (x, y) in enumerate(places.tolist()):
        cells.setdefault((x, y), []).append(node)
    around = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
    found = []
    for (x, y), nodes in cells.items():
        others = np.array([node for dx, dy in around for node in cells.get((x + dx, y + dy), ())])
        for node in nodes:
            near = np.hypot(*(points[others] - points[node]).T) <= reach
            found += [(node, int(other)) for other in others[near] if other > node]
    return found


def _degree(text: str, number: str) -> float:
    try:
        found = float(number)
    except ValueError:
        found = 0.0
    if not 1 <= found <= MAX_NODES:
        raise SettingsError(f"--topology {text}: needs a number from 1, as erdos:10; the topologies are {FORMS}")
    return found


def _links(text: str, number: str) -> int:
    found = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0
    if not 1 <= found <= MAX_BARABASI_LINKS:
        raise SettingsError(
            f"--topology {text}: needs a whole number of links from 1 to {MAX_BARABASI_LINKS}, as barabasi:3"
        )
    return found
