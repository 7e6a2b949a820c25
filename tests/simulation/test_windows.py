"""What a simulation finds does not depend on how many shards its nodes are dealt to, nor on shards that are lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dslnode.errors import StateError, UnreachableError
from dslnode.simulation.checkpoints import Checkpoints
from dslnode.simulation.local_shards import LocalShards
from dslnode.simulation.shard import Deal, ShardWindow
from dslnode.simulation.simulation import Simulation
from dslnode.simulation.snapshot import given_to, read_snapshot, write_snapshot
from dslnode.simulation.windows import MOST_LOSSES, Job, ShardLost, Shards
from tests.simulation.networks import simulation

CASES: dict[str, dict[str, Any]] = {
    "thin lines and churn": {"link": "50kbit/s,50ms,5%", "churn": 0.3, "speed_sigma": 0.5, "rounds": 5},
    "no delay": {"link": "", "speed_sigma": 0.5, "churn": 0.2},
    "all alike": {"link": "10Mbit/s,10ms", "topology": "complete"},
    "hostile, both kinds of masks": {"hostile": "0.4:loud", "exchange": "both", "keep_ratio": "0.2..0.6", "churn": 0.2},
    "keep masks": {"exchange": "keep", "link": "100kbit/s", "topology": "erdos:3", "churn": 0.3, "rounds": 4},
    "data cap": {"data_cap": "1.8MB/day", "step_time": 60.0, "send_threshold": 0.0, "rounds": 6},
    "until a score": {"until_score": 0.97, "rounds": 40, "speed_sigma": 1.0, "local_steps": 3},
    "silent ones": {"hostile": "0.3:silent", "exchange": "both"},
}


def ended(engine: Callable[[Job], Shards], **given: Any) -> Simulation:
    """Return a simulation that has run to its end on these shards."""
    begun = simulation(engine=engine, **{"nodes": 7, **given})
    list(begun.run())
    return begun


@pytest.mark.parametrize("case", CASES)
def test_any_number_of_shards_finds_the_same_to_the_bit(case: str) -> None:
    whole = ended(LocalShards, **CASES[case])
    assert whole.records
    for count in (2, 3, 7):
        parted = ended(partial(LocalShards, count=count), **CASES[case])
        assert parted.records == whole.records
        assert parted.incidents == whole.incidents


@pytest.mark.parametrize(("nodes", "shards"), [(1, 1), (7, 2), (7, 7), (10, 3), (1_000, 7)])
def test_every_node_is_dealt_to_one_shard_and_none_has_much_more(nodes: int, shards: int) -> None:
    deal = Deal(nodes, shards)
    held = [deal.held_by(shard) for shard in range(shards)]
    assert [node for numbers in held for node in numbers] == list(range(nodes))
    assert [deal.holder(node) for node in range(nodes)] == [i for i, numbers in enumerate(held) for _ in numbers]
    assert max(map(len, held)) - min(map(len, held)) <= 1


class FrailShards(LocalShards):
    """Two shards, saved in a directory. They are lost some windows after they were saved so often: ``losses``."""

    may_be_lost = True

    def __init__(self, job: Job, directory: Path, losses: dict[int, int]) -> None:
        super().__init__(job, 2)
        self.saved = self.restored = self.built = self._windows = 0
        self._directory, self._losses = directory, dict(losses)
        self._digests: dict[int, bytes] = {}

    def build(self) -> Iterator[int]:
        self.built += 1
        yield from super().build()

    def run(self, before: float) -> list[ShardWindow]:
        self._windows += 1
        found = super().run(before)
        if self._losses.get(self.saved) == self._windows:
            del self._losses[self.saved]
            raise ShardLost("shard 1 of 2 is gone")
        return found

    def save(self) -> None:
        self.saved, self._windows = self.saved + 1, 0
        for shard, arrived in zip(self.shards, self._arrived(), strict=True):
            shard.take_in(arrived)
            self._digests[shard.number] = write_snapshot(self._directory / str(shard.number), shard)
        self._batches = [[[], []], [[], []]]

    def restore(self) -> None:
        self.restored += 1
        given = [given_to(shard) for shard in self.shards]
        self.shards = [
            read_snapshot(self._directory / str(number), self._digests[number], given[number]) for number in range(2)
        ]
        self._batches = [[[], []], [[], []]]


@pytest.mark.parametrize("case", CASES)
def test_shards_that_are_lost_cost_time_and_no_bit(case: str, tmp_path: Path) -> None:
    whole = ended(LocalShards, **CASES[case])
    frail = partial(FrailShards, directory=tmp_path, losses={0: 2, 1: 2, 2: 1})
    begun = simulation(engine=frail, save_every=1, **{"nodes": 7, **CASES[case]})
    list(begun.run())
    shards = begun.shards
    assert isinstance(shards, FrailShards)
    assert (shards.built, shards.restored) == (2, 2)
    assert begun.records == whole.records
    assert begun.incidents == whole.incidents


def test_without_snapshots_they_begin_again(tmp_path: Path) -> None:
    losses: list[str] = []
    frail = partial(FrailShards, directory=tmp_path, losses={0: 10})
    begun = Simulation(simulation(nodes=7).prepared, engine=frail, on_loss=losses.append)
    list(begun.build())
    list(begun.run())
    assert losses == ["shard 1 of 2 is gone"]
    assert isinstance(begun.shards, FrailShards)
    assert (begun.shards.built, begun.shards.saved, begun.shards.restored) == (2, 0, 0)
    assert begun.records == ended(LocalShards).records


def test_what_goes_on_from_the_disk_is_saved_at_once(tmp_path: Path) -> None:
    """The states that it goes on from are gone once all nodes have written newer ones."""
    first = simulation(rounds=6, link="100Mbit/s,1ms")
    begun = Simulation(first.prepared, Checkpoints(tmp_path, "one", nodes=6, every=2))
    list(begun.build())
    next(rounds for rounds in begun.run() if rounds >= 18)
    frail = partial(FrailShards, directory=tmp_path, losses={1: 4})
    checkpoints = Checkpoints(tmp_path, "one", nodes=6, every=1)
    resumed = Simulation(first.prepared, checkpoints, resume=True, engine=frail, save_every=5)
    list(resumed.build())
    list(resumed.run())
    assert isinstance(resumed.shards, FrailShards)
    assert (resumed.shards.built, resumed.shards.restored) == (1, 1)
    assert {record.round for record in resumed.records if record.node == 0} == set(range(1, 7))
    assert len(resumed.records) == 36


class LateShards(LocalShards):
    """One happening, so late that no window that is added to its time would show in a float."""

    LATE = 1e18

    def begin(self, _: object) -> list[ShardWindow]:
        return [ShardWindow([], {}, self.LATE)]

    def run(self, before: float) -> list[ShardWindow]:
        assert before > self.LATE, "nothing would ever happen"
        return [ShardWindow([], {}, math.inf)]


def test_time_goes_on_however_late_it_is() -> None:
    late = simulation(nodes=2, rounds=1, engine=LateShards)
    assert late.prepared.plan.boards[0].step_seconds < 1
    assert list(late.run()) == []


def test_losses_without_progress_end_it(tmp_path: Path) -> None:
    class Doomed(FrailShards):
        def run(self, before: float) -> list[ShardWindow]:
            raise ShardLost(f"shard 1 of 2 is gone before {before}")

    with pytest.raises(UnreachableError, match=f"gone .*, which is the {MOST_LOSSES + 1}th loss without any progress"):
        ended(partial(Doomed, directory=tmp_path, losses={}))


def test_a_snapshot_that_this_run_did_not_write_is_not_read(tmp_path: Path) -> None:
    shards = simulation().shards
    assert isinstance(shards, LocalShards)
    [shard] = shards.shards
    digest = write_snapshot(tmp_path / "0", shard)
    assert read_snapshot(tmp_path / "0", digest, given_to(shard)).number == 0
    (tmp_path / "0").write_bytes((tmp_path / "0").read_bytes() + b".")
    with pytest.raises(StateError, match="not what this simulation has written"):
        read_snapshot(tmp_path / "0", digest, given_to(shard))


def test_what_shards_are_given_is_not_in_their_files(tmp_path: Path) -> None:
    shards = simulation(topology="complete", parts=1).shards
    assert isinstance(shards, LocalShards)
    [shard] = shards.shards
    restored = read_snapshot(tmp_path / "0", write_snapshot(tmp_path / "0", shard), given_to(shard))
    for node in restored.network.nodes.values():
        assert node.learner.data is shard.prepared.parts[0]
    assert len({id(node.learner.network.weights) for node in restored.network.nodes.values()}) == 1
