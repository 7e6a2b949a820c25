"""Who is whose neighbour, as a value: drawn from a seed, or read from a file of edges."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dslnode.errors import SettingsError
from dslnode.text_files import decode_text

Neighbours = tuple[tuple[int, ...], ...]
"""For every node its neighbours in ascending order; never itself; if i has j, then j has i."""

Generator = np.random.Generator

MAX_NODES = 100_000
MAX_FILE_BYTES = 64 << 20
FORMS = "ring, complete, erdos:DEGREE, geometric[:DEGREE], barabasi[:LINKS] or a file of edges"
EDGE_PROBABILITY = 0.55
"""Of the authors' graph: 20 nodes, mean degree 10.4."""
MAX_DRAWS = 10
"""Draws of a random graph until it is connected; the parts of the last one are joined."""
MAX_DEGREE = 100
"""As many neighbours as a daemon can have."""
GEOMETRIC_DEGREE = 8.0
BARABASI_LINKS = 3
MAX_BARABASI_LINKS = 30


def topology_of(text: str, count: int, seed: int) -> Neighbours:
    """Return the graph that a setting names, over ``count`` nodes.

    Raises ``SettingsError`` if the text is no topology, or the file of edges cannot be used.
    """
    name, colon, number = text.partition(":")
    if name in ("ring", "complete") and not colon:
        return ring(count) if name == "ring" else complete(count)
    drawn: dict[str, Callable[[float], Neighbours]] = {
        "erdos": lambda degree: erdos_renyi(count, seed, min(1.0, degree / max(1, count - 1))),
        "geometric": lambda degree: geometric(count, seed, degree),
        "barabasi": lambda links: barabasi(count, seed, int(min(links, MAX_BARABASI_LINKS))),
    }
    usual = {"geometric": GEOMETRIC_DEGREE, "barabasi": BARABASI_LINKS}
    if name in drawn:
        return drawn[name](_number(text, number, usual.get(name) if not colon else None))
    return read_edges(Path(text), count)


def ring(count: int, _seed: int = 0) -> Neighbours:
    """Join every node to the one before and the one after."""
    return tuple(tuple(sorted({(i - 1) % count, (i + 1) % count} - {i})) for i in range(count))


def complete(count: int, _seed: int = 0) -> Neighbours:
    """Join every node to every other."""
    return tuple(tuple(j for j in range(count) if j != i) for i in range(count))


def erdos_renyi(count: int, seed: int, probability: float = EDGE_PROBABILITY) -> Neighbours:
    """Draw every edge with the same probability, until the graph is connected; join the parts if it hardly can be."""
    generator = np.random.Generator(np.random.PCG64([seed, count]))
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


def from_edges(count: int, edges: Iterable[tuple[int, int]]) -> Neighbours:
    """Return the neighbours of ``count`` nodes that these edges join."""
    around: list[set[int]] = [set() for _ in range(count)]
    for i, j in edges:
        around[i].add(j)
        around[j].add(i)
    return tuple(tuple(sorted(peers)) for peers in around)


def edges_of(neighbours: Neighbours) -> list[tuple[int, int]]:
    """Return every edge once, the smaller node first, in ascending order."""
    return [(i, j) for i, peers in enumerate(neighbours) for j in peers if i < j]


def read_edges(file: Path, count: int) -> Neighbours:
    """Return the graph in a file: two node numbers from 0 in a line; lines that begin with # are remarks.

    Raises ``SettingsError`` if there is no such file, or a line of it is no edge between two of ``count`` nodes.
    """
    try:
        with file.open("rb") as source:
            content = source.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise SettingsError(f"--topology {file}: is larger than {MAX_FILE_BYTES >> 20} MiB; give a smaller file")
        lines = decode_text(content).splitlines()
    except FileNotFoundError as error:
        raise SettingsError(f"--topology {file}: is none of {FORMS}, and there is no such file") from error
    except (OSError, ValueError) as error:
        raise SettingsError(f"--topology {file}: cannot be read ({error}); give a text file of edges") from error
    numbered = ((number, line.split("#")[0].split()) for number, line in enumerate(lines, start=1))
    return from_edges(count, [_edge(f"{file}, line {at}", words, count) for at, words in numbered if words])


def write_edges(file: Path, neighbours: Neighbours) -> None:
    """Write a graph as ``read_edges`` reads it."""
    lines = [f"# {len(neighbours)} nodes", *(f"{i} {j}" for i, j in edges_of(neighbours))]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


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
    bridges = list(pairwise(first_of_parts))
    return from_edges(len(neighbours), [*edges_of(neighbours), *bridges]) if bridges else neighbours


def link_count(neighbours: Neighbours) -> int:
    """Return the number of directed links: every node sends to each of its neighbours."""
    return sum(map(len, neighbours))


def _reached(neighbours: Neighbours, start: int) -> set[int]:
    reached, waiting = {start}, [start]
    while waiting:
        new = set(neighbours[waiting.pop()]) - reached
        reached |= new
        waiting += new
    return reached


def _drawn_pairs(count: int, generator: Generator, probability: float) -> list[tuple[int, int]]:
    """Draw all pairs, row by row: no more than one row of a large graph is in memory."""
    rows = (generator.random(count) < probability for _ in range(count))
    return [(i, int(j)) for i, row in enumerate(rows) for j in np.flatnonzero(row[i + 1 :]) + i + 1]


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


def _number(text: str, number: str, usual: float | None) -> float:
    if usual is not None:
        return usual
    try:
        found = float(number)
    except ValueError:
        found = 0.0
    if not 1 <= found <= MAX_NODES:
        raise SettingsError(f"--topology {text}: needs a number from 1, as erdos:10; the topologies are {FORMS}")
    return found


def _edge(place: str, words: list[str], count: int) -> tuple[int, int]:
    numbers = [int(word) for word in words if word.isascii() and word.isdigit() and len(word) < 10]
    if len(numbers) != 2 or len(words) != 2 or numbers[0] == numbers[1] or max(numbers) >= count:
        raise SettingsError(f"{place}: needs two different node numbers from 0 to {count - 1}, as: 0 1")
    return numbers[0], numbers[1]
