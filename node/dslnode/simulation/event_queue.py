"""What will happen at the nodes of one process, in an order that does not depend on how many processes there are.

Happenings come by virtual time. Of those at the same time the lower node comes first; at one node, what was planned by
the lower node; and of these, what was planned first.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Container
from typing import Generic, NamedTuple, TypeVar

Happening = TypeVar("Happening")


class Planned(NamedTuple, Generic[Happening]):
    """What will happen at ``node``, at ``seconds`` of virtual time. ``number`` counts what ``source`` has planned."""

    seconds: float
    node: int
    source: int
    number: int
    happening: Happening


class EventQueue(Generic[Happening]):
    """The happenings at the nodes that are ``here``; None for all. Those at others are collected in ``outgoing``.

    ``now`` is the virtual time, in seconds, of the last one taken.
    """

    def __init__(self, here: Container[int] | None = None) -> None:
        self.now = 0.0
        self.outgoing: list[Planned[Happening]] = []
        self._here = here
        self._numbers: Counter[int] = Counter()
        self._heap: list[Planned[Happening]] = []

    @property
    def next_seconds(self) -> float:
        """The virtual time of what happens next, infinite if there is nothing."""
        return self._heap[0].seconds if self._heap else math.inf

    def clock(self) -> float:
        """Return ``now``."""
        return self.now

    def plan(self, happening: Happening, *, node: int, source: int, at: float) -> None:
        """Have it happen at a node, at a virtual time that has not passed; ``source`` is the node that plans it."""
        self._numbers[source] += 1
        planned = Planned(at, node, source, self._numbers[source], happening)
        if self._here is None or node in self._here:
            self.add(planned)
        else:
            self.outgoing.append(planned)

    def add(self, planned: Planned[Happening]) -> None:
        """Take in what a node elsewhere has planned."""
        heapq.heappush(self._heap, planned)

    def take(self) -> Planned[Happening]:
        """Go on to the next happening and return it; ``IndexError`` if there is none."""
        planned = heapq.heappop(self._heap)
        self.now = planned.seconds
        return planned

    def collect(self) -> list[Planned[Happening]]:
        """Return what was planned for nodes elsewhere since the last call."""
        collected, self.outgoing = self.outgoing, []
        return collected
