"""Runs the shards of a simulation side by side, window after window of virtual time.

What a simulation finds does not depend on how many shards there are: windows follow from what all of them have planned,
and finished rounds are put in the order of virtual time and nodes. A shard that is lost costs time, and no more: all
go back to where they were last saved together, and find the same again.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from dslnode.errors import UnreachableError
from dslnode.simulation.build import PreparedSimulation
from dslnode.simulation.link_model import least_seconds
from dslnode.simulation.records import Incidents, RoundRecord
from dslnode.simulation.shard import Arrays, ShardWindow, States

WINDOWS_PER_ROUND = 20
"""Windows that a round of the median board takes at least."""
MOST_LOSSES = 5
"""Shards that may be lost one after another without any progress."""


class ShardLost(Exception):
    """A process or machine that held a shard is gone; the message says which."""


@dataclass(frozen=True)
class Job:
    """What shards have to do: the simulation, what each node goes on from, and rounds between two checkpoints."""

    prepared: PreparedSimulation
    saved: Callable[[int], Arrays | None]
    checkpoint_every: int = 0


class Shards(Protocol):
    """All shards of a simulation, wherever they run. Each method but ``close`` may raise ``ShardLost``."""

    @property
    def weights(self) -> int:
        """The number of weights of the model, once nodes are built."""

    @property
    def may_be_lost(self) -> bool:
        """Whether it is worth while to save them."""

    def build(self) -> Iterator[int]:
        """Build all nodes, in place of any that there were; yield how many there are so far."""

    def begin(self, last: Mapping[int, RoundRecord]) -> list[ShardWindow]:
        """Start all nodes, at the time of their last records if there are any."""

    def run(self, before: float) -> list[ShardWindow]:
        """Hand over what the last window planned for other shards; let happen all that happens before a time."""

    def save(self) -> None:
        """Save all shards as they are, in place of what was saved before."""

    def restore(self) -> None:
        """Put all shards back to where they were saved, on whatever is left of the machines."""

    def incidents(self) -> Incidents:
        """Return what happened so far beside learning."""

    def close(self) -> None:
        """End what was started for them."""


@dataclass(frozen=True)
class Window:
    """A window of all shards: finished rounds in order, and states to be saved, by node and round.

    ``first`` is how many rounds were finished before it. If those so far are more, they are void from there on.
    """

    first: int
    records: list[RoundRecord]
    states: States


@dataclass(frozen=True)
class _Point:
    """Where a simulation is, between two windows: rounds finished, and the time of what happens next."""

    records: int
    next_seconds: float


def ignore(_loss: str) -> None:
    """Tell nobody."""


class WindowDriver:
    """Runs shards to the end. They are saved about every ``save_every`` rounds of every node; 0 for never.

    Those that go on from states on the disk are saved at once: the next states replace these. ``on_loss`` is told which
    shard is lost. Raises ``UnreachableError`` if that happens again and again.
    """

    def __init__(
        self,
        shards: Shards,
        prepared: PreparedSimulation,
        *,
        save_every: int = 0,
        on_loss: Callable[[str], None] = ignore,
    ) -> None:
        self._shards = shards
        self._on_loss = on_loss
        self._window_seconds = window_seconds(prepared)
        self._save_after = save_every * len(prepared.plan.boards) if shards.may_be_lost else 0
        self._saved: _Point | None = None  # None: the beginning
        self._reached = self._reached_before = self._losses = 0

    def build(self) -> Iterator[int]:
        """Build all nodes; yield how many there are so far."""
        while True:
            try:
                yield from self._shards.build()
            except ShardLost as lost:
                self._count(lost)
            else:
                return

    def run(self, last: Mapping[int, RoundRecord]) -> Iterator[Window]:
        """Yield window after window. ``last`` are the records that nodes go on from."""
        point: _Point | None = None
        while point is None or math.isfinite(point.next_seconds):
            try:
                window, point = self._next_window(point, last)
            except ShardLost as lost:
                point = self._go_back(lost)
            else:
                self._reached = max(self._reached, point.records)
                yield window

    def _next_window(self, point: _Point | None, last: Mapping[int, RoundRecord]) -> tuple[Window, _Point]:
        shards = self._shards
        found = shards.begin(last) if point is None else shards.run(self._end_of_window(point.next_seconds))
        window = merged(found, first=0 if point is None else point.records)
        after = _Point(window.first + len(window.records), min(each.next_seconds for each in found))
        if self._is_due(after, resumed=bool(last)):
            shards.save()
            self._saved = after
        return window, after

    def _end_of_window(self, begin: float) -> float:
        """Return when the window ends: late enough for what happens next, however late it is in virtual time."""
        return max(begin + self._window_seconds, math.nextafter(begin, math.inf))

    def _is_due(self, point: _Point, *, resumed: bool) -> bool:
        if not self._save_after or (self._saved is None and resumed):
            return bool(self._save_after)
        before = 0 if self._saved is None else self._saved.records
        return point.records // self._save_after > before // self._save_after

    def _go_back(self, lost: ShardLost) -> _Point | None:
        """Go back to where all shards were saved, or to the beginning; return where that is."""
        while True:
            self._count(lost)
            try:
                if self._saved is not None:
                    self._shards.restore()
                else:
                    deque(self._shards.build(), maxlen=0)
            except ShardLost as another:
                lost = another
            else:
                return self._saved

    def _count(self, lost: ShardLost) -> None:
        self._losses = 1 if self._reached > self._reached_before else self._losses + 1
        self._reached_before = self._reached
        self._on_loss(str(lost))
        if self._losses > MOST_LOSSES:
            raise UnreachableError(
                f"{lost}, which is the {self._losses}th loss without any progress; see whether machines have enough "
                "memory, or simulate fewer nodes"
            ) from lost


def window_seconds(prepared: PreparedSimulation) -> float:
    """Return the length of a window: what anything takes from node to node at least, or less, to show progress."""
    median_step = median(board.step_seconds for board in prepared.plan.boards)
    return min(least_seconds(prepared.plan.line), median_step * prepared.settings.local_steps / WINDOWS_PER_ROUND)


def merged(found: Sequence[ShardWindow], *, first: int) -> Window:
    """Return what all shards found in the same window, in the order of virtual time, and of nodes."""
    records = sorted((record for each in found for record in each.records), key=lambda each: (each.seconds, each.node))
    states = {key: arrays for each in found for key, arrays in each.states.items()}
    return Window(first, records, states)
