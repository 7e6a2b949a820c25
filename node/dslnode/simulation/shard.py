"""A shard: the nodes of a simulation that one process holds, run window by window of virtual time.

A window is shorter than anything takes from one node to another. So what shards plan for each other's nodes in a window
happens after it: they exchange it between windows, as one batch per pair of shards, and need not wait within one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from dslnode.simulation.build import NetworkBuilder, PreparedSimulation
from dslnode.simulation.event_queue import EventQueue, Planned
from dslnode.simulation.happenings import Happening
from dslnode.simulation.records import Incidents, RoundRecord
from dslnode.simulation.virtual_learner import CommonParts, Counts, FrozenTensors
from dslnode.simulation.virtual_network import VirtualNetwork

Arrays = Mapping[str, np.ndarray]
"""What a learner's state is, by name."""
States = dict[tuple[int, int], Arrays]
"""States of learners, by node and round."""
Batch = list[Planned[Happening]]
"""What a shard has planned for the nodes of another one, in a window."""


@dataclass(frozen=True)
class ShardWindow:
    """What happened in a shard: finished rounds in order, and states to be saved, by node and round.

    ``next_seconds`` is the earliest time of what it has planned, here or elsewhere; infinite if there is nothing.
    """

    records: list[RoundRecord]
    states: States
    next_seconds: float


@dataclass(frozen=True)
class Deal:
    """How ``nodes`` are dealt to ``shards``: neighbouring numbers together, as many to each but for one."""

    nodes: int
    shards: int

    def held_by(self, shard: int) -> range:
        """Return the numbers of the nodes that a shard holds."""
        return range(shard * self.nodes // self.shards, (shard + 1) * self.nodes // self.shards)

    def holder(self, node: int) -> int:
        """Return the shard that holds a node."""
        return ((node + 1) * self.shards - 1) // self.nodes


@dataclass
class Shard:
    """Shard ``number`` of a simulation: ``add`` its nodes, ``begin``, then ``run`` window after window.

    The state of every node is handed out every ``checkpoint_every`` rounds; 0 for never. ``frozen`` are tensors that
    shards share.
    """

    prepared: PreparedSimulation
    deal: Deal
    number: int
    checkpoint_every: int = 0
    frozen: Mapping[Counts, FrozenTensors] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Have nothing happened yet."""
        self._records: list[RoundRecord] = []
        self._states: States = {}
        self.weights = 0
        self._builder = NetworkBuilder(
            self.prepared, common=CommonParts(self.frozen), here=self.deal.held_by(self.number)
        )

    @cached_property
    def network(self) -> VirtualNetwork:
        """Its nodes, once all are built."""
        return self._builder.network(self._take)

    @property
    def _queue(self) -> EventQueue[Happening]:
        return self._builder.queue

    def add(self, saved: Mapping[int, Arrays | None]) -> None:
        """Build these of its nodes, which go on from what was saved. Raises ``StateError`` or ``ModelError``."""
        for node, arrays in saved.items():
            self.weights = self._builder.add(node, arrays).layout.size

    def begin(self, last: Mapping[int, RoundRecord]) -> tuple[ShardWindow, list[Batch]]:
        """Start all nodes, at the time of their last records if there are any; return what ``run`` does."""
        if last:
            self.network.resume(last)
        else:
            self.network.begin()
        return self._window()

    def run(self, before: float, arrived: Iterable[Batch]) -> tuple[ShardWindow, list[Batch]]:
        """Take in what arrived, and let happen all that happens before a virtual time.

        Return the window, and a batch for every shard; that for this one is empty.
        """
        self.take_in(arrived)
        self.network.run(before)
        return self._window()

    def take_in(self, arrived: Iterable[Batch]) -> None:
        """Take in what other shards have planned for nodes of this one."""
        for batch in arrived:
            for planned in batch:
                self._queue.add(planned)

    def incidents(self) -> Incidents:
        """Return what happened so far beside learning."""
        nodes = self.network.nodes.values()
        resets, refused = sum(node.learner.restarts for node in nodes), sum(node.refused for node in nodes)
        return Incidents(departures=self.network.departures, resets=resets, refused=refused)

    def _window(self) -> tuple[ShardWindow, list[Batch]]:
        outgoing = self._queue.collect()
        next_seconds = min([self._queue.next_seconds, *(planned.seconds for planned in outgoing)])
        batches: list[Batch] = [[] for _ in range(self.deal.shards)]
        for planned in outgoing:
            batches[self.deal.holder(planned.node)].append(planned)
        window = ShardWindow(self._records, self._states, next_seconds)
        self._records, self._states = [], {}
        return window, batches

    def _take(self, record: RoundRecord) -> None:
        self._records.append(record)
        if self.checkpoint_every and record.round % self.checkpoint_every == 0:
            self._states[record.node, record.round] = self.network.nodes[record.node].learner.state()
