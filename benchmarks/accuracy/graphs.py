"""The graphs of the cases by name."""

from __future__ import annotations

from collections.abc import Callable

from dslnode.simulation.graph import Neighbours
from dslnode.simulation.topology import complete, erdos_renyi, ring

GRAPHS: dict[str, Callable[[int, int], Neighbours]] = {"erdos-renyi": erdos_renyi, "ring": ring, "complete": complete}
