"""Where the nodes of a graph are drawn: pulled together by edges, pushed apart else (Fruchterman, Reingold 1991)."""

from __future__ import annotations

import math

import numpy as np

from dslnode.simulation.graph import Neighbours, edges_of

MAX_SPRING_NODES = 600
"""Larger graphs are drawn as a spiral: forces between all pairs take too long, and lines would hide the nodes."""
STEPS = 120
GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


def places_of(neighbours: Neighbours) -> list[tuple[float, float]]:
    """Return the place of every node, from 0 to 1 in both directions."""
    count = len(neighbours)
    spiral = [
        (0.5 + 0.5 * math.sqrt((i + 0.5) / count) * math.cos(i * GOLDEN_ANGLE),
         0.5 + 0.5 * math.sqrt((i + 0.5) / count) * math.sin(i * GOLDEN_ANGLE))
        for i in range(count)
    ]  # fmt: skip
    if count > MAX_SPRING_NODES or count < 3:
        return spiral
    places = np.array([(0.5 + 0.5 * math.cos(turn), 0.5 + 0.5 * math.sin(turn)) for turn in _turns(count)])
    edges = np.array(edges_of(neighbours), dtype=np.intp).reshape(-1, 2)
    length = math.sqrt(1 / count)
    for step in range(STEPS):
        difference = places[:, None] - places[None]
        squared = np.maximum((difference**2).sum(axis=2), 1e-9)
        force = (difference * (length**2 / squared)[..., None]).sum(axis=1)
        pull = places[edges[:, 0]] - places[edges[:, 1]]
        pull *= np.linalg.norm(pull, axis=1, keepdims=True) / length
        np.add.at(force, edges[:, 0], -pull)
        np.add.at(force, edges[:, 1], pull)
        size = np.maximum(np.linalg.norm(force, axis=1, keepdims=True), 1e-9)
        places += force / size * np.minimum(size, 0.1 * (1 - step / STEPS))
    low, high = places.min(axis=0), places.max(axis=0)
    scaled = (places - low) / np.maximum(high - low, 1e-9)
    return [(float(x), float(y)) for x, y in scaled]


def _turns(count: int) -> list[float]:
    return [2 * math.pi * i / count for i in range(count)]
