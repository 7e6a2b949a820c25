"""The averaging weights that gossip needs."""

from __future__ import annotations

from dslnode.simulation.graph import Neighbours


def metropolis(neighbours: Neighbours) -> list[dict[int, float]]:
    """Return each node's averaging weights, itself included: symmetric, summing to 1 (Metropolis and Hastings)."""
    rows = []
    for i, around in enumerate(neighbours):
        row = {j: 1 / (1 + max(len(around), len(neighbours[j]))) for j in around}
        rows.append({i: 1 - sum(row.values()), **row})
    return rows
