"""What will happen, in the order of virtual time; what was planned first comes first among equals."""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

Happening = TypeVar("Happening")


class EventQueue(Generic[Happening]):
    """A queue of happenings by virtual time. ``now`` is the time, in seconds, of the last one taken."""

    def __init__(self) -> None:
        self.now = 0.0
        self._planned = 0
        self._heap: list[tuple[float, int, Happening]] = []

    def __len__(self) -> int:
        return len(self._heap)

    def plan(self, seconds: float, happening: Happening) -> None:
        """Have it happen in so many seconds from now, 0 or more."""
        heapq.heappush(self._heap, (self.now + seconds, self._planned, happening))
        self._planned += 1

    def take(self) -> Happening:
        """Go on to the next happening and return it; ``IndexError`` if there is none."""
        self.now, _, happening = heapq.heappop(self._heap)
        return happening
