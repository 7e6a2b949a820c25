"""A process that holds a shard does so in memory that others share, and goes on from parts of a file."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dslnode.data.dataset import DataSet, Examples
from dslnode.simulation.build import PreparedSimulation
from dslnode.simulation.records import RoundRecord
from dslnode.simulation.shard import Batch, Deal, ShardWindow
from dslnode.simulation.shard_host import FrozenArrays, Holding, ShardHost, frozen_arrays
from dslnode.simulation.virtual_learner import Counts
from dslnode.simulation.windows import merged, window_seconds
from tests.simulation.networks import finished, simulation

GIVEN: dict[str, Any] = {
    "keep_ratio": "0.2..0.6",
    "exchange": "both",
    "churn": 0.2,
    "model": "mlp",
    "weights_per_score": 4,
}


class Hosts:
    """Two hosts in this process, which get everything as another process gets it."""

    def __init__(self, prepared: PreparedSimulation) -> None:
        self._prepared, self._frozen = shared(prepared), frozen(prepared)
        self._window_seconds = window_seconds(prepared)
        self.hosts = [self._host(number) for number in range(2)]

    def _host(self, number: int) -> ShardHost:
        deal = Deal(len(self._prepared.plan.boards), 2)
        return ShardHost(self._prepared, self._frozen, Holding(deal=deal, number=number, checkpoint_every=0, threads=1))

    def run(self, *, move_after: int = 0) -> Iterator[RoundRecord]:
        """Yield all records; after so many windows the hosts hand their shards to new ones, by parts of files."""
        for host, numbers in zip(self.hosts, (range(3), range(3, 6)), strict=True):
            host.add(dict.fromkeys(numbers))
        found, batches = self._taken([host.begin({}) for host in self.hosts])
        windows = 0
        while math.isfinite(begin := min(window.next_seconds for window in found)):
            windows += 1
            arrived = [[batches[1][0]], [batches[0][1]]]
            if windows == move_after:
                self.hosts = [self._moved(number, arrived[number]) for number in range(2)]
                arrived = [[], []]
            before = begin + self._window_seconds
            found, batches = self._taken(
                [host.run(before, *own) for host, own in zip(self.hosts, arrived, strict=True)]
            )
            yield from merged(found, first=0).records

    def _moved(self, number: int, arrived: list[Batch]) -> ShardHost:
        former, new = self.hosts[number], self._host(number)
        size, digest = former.write(*arrived)
        content = former.part(0)
        assert len(content) == size
        for part in (content[: size // 2], content[size // 2 :]):
            new.take_part(part)
        assert new.restore(digest) > 0
        return new

    def _taken(self, said: list[tuple[ShardWindow | Batch, ...]]) -> tuple[list[ShardWindow], list[list[Batch]]]:
        copies = [pickle.loads(pickle.dumps(each)) for each in said]
        return [window for window, *_ in copies], [batches for _, *batches in copies]


def shared(prepared: PreparedSimulation) -> PreparedSimulation:
    """Return the same with data in memory that nobody can write to."""
    return replace(prepared, parts=[read_only(part) for part in prepared.parts])


def read_only(part: DataSet) -> DataSet:
    copies = []
    for examples in (part.train, part.held_out):
        assert examples is not None
        copy = Examples(examples.stored.copy(), examples.labels.copy(), examples.full_scale)
        for array in (copy.stored, copy.labels):
            array.flags.writeable = False
        copies.append(copy)
    return replace(part, train=copies[0], held_out=copies[1])


def frozen(prepared: PreparedSimulation) -> Mapping[Counts, FrozenArrays]:
    """Return frozen arrays in memory that nobody can write to."""

    def copied(array: np.ndarray | None) -> np.ndarray | None:
        copy = None if array is None else array.copy()
        if copy is not None:
            copy.flags.writeable = False
        return copy

    found = {}
    for counts, arrays in frozen_arrays(prepared).items():
        weights = copied(arrays.weights)
        assert weights is not None
        found[counts] = FrozenArrays(weights, copied(arrays.signs), copied(arrays.seeded))
    return found


@pytest.mark.parametrize("move_after", [0, 12])
def test_hosts_find_what_one_process_finds(move_after: int) -> None:
    prepared = simulation(**GIVEN).prepared
    assert list(Hosts(prepared).run(move_after=move_after)) == finished(**GIVEN).records


def test_nodes_use_the_frozen_tensors_that_their_host_was_given() -> None:
    prepared = simulation(**GIVEN).prepared
    given = frozen(prepared)
    assert len(given) == 5
    assert all(arrays.signs is not None for arrays in given.values()), "weights share scores"
    host = ShardHost(prepared, given, Holding(deal=Deal(6, 2), number=0, checkpoint_every=0, threads=1))
    host.add(dict.fromkeys(range(3)))
    used = {node.learner.network.weights.data_ptr() for node in host._shard.network.nodes.values()}
    assert len(used) == 3
    assert used <= {arrays.weights.ctypes.data for arrays in given.values()}
