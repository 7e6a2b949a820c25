"""What a simulation takes from a network that runs: graph, keep ratios, seconds per round, data cap."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import fmean, median

import numpy as np

from dslnode.simulation.graph import Neighbours, edges_of, from_edges


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """A running network, as its nodes report it. Of those that did not answer, the mean of the others is taken.

    ``round_seconds`` are the seconds per round of each node, waiting included: an upper bound of what its training
    takes. ``data_cap`` is as the setting has it, empty without one: that of one node stands for all. ``address`` is
    where the network was asked.
    """

    neighbours: Neighbours
    keep_ratios: tuple[float, ...]
    round_seconds: tuple[float, ...]
    data_cap: str = ""
    address: str = ""

    def grown(self, count: int, seed: int) -> Likeness:
        """Return the network with as many nodes: the first ones of it, or new ones that join as many as is usual.

        New nodes have the median of what the others have.
        """
        size = len(self.neighbours)
        kept = [(i, j) for i, j in edges_of(self.neighbours) if max(i, j) < count]
        draws = np.random.Generator(np.random.PCG64([seed, count, 3]))
        usual = max(1, round(fmean(map(len, self.neighbours))))
        for node in range(size, count):
            joined = draws.choice(node, min(usual, node), replace=False)
            kept += [(node, int(other)) for other in joined]
        return replace(
            self,
            neighbours=from_edges(count, kept),
            keep_ratios=_extended(self.keep_ratios, count),
            round_seconds=_extended(self.round_seconds, count),
        )


def _extended(values: tuple[float, ...], count: int) -> tuple[float, ...]:
    return (*values[:count], *[median(values)] * max(0, count - len(values)))
