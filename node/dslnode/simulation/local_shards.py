"""All shards of a simulation in this process, one after the other. Usually it is one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dslnode.simulation.records import Incidents, RoundRecord
from dslnode.simulation.shard import Batch, Deal, Shard, ShardWindow
from dslnode.simulation.windows import Job


class LocalShards:
    """``count`` shards that this process runs."""

    may_be_lost = False

    def __init__(self, job: Job, count: int = 1) -> None:
        self._job = job
        self._deal = Deal(len(job.prepared.plan.boards), count)
        self.shards: list[Shard] = []
        self._batches: list[list[Batch]] = []  # of the last window, by the shard that planned them

    @property
    def weights(self) -> int:
        """The number of weights of the model, once nodes are built."""
        return max((shard.weights for shard in self.shards), default=0)

    def build(self) -> Iterator[int]:
        """Build all nodes; yield how many there are so far."""
        job, deal = self._job, self._deal
        self.shards = [Shard(job.prepared, deal, number, job.checkpoint_every) for number in range(deal.shards)]
        for node in range(deal.nodes):
            self.shards[deal.holder(node)].add({node: job.saved(node)})
            yield node + 1

    def begin(self, last: Mapping[int, RoundRecord]) -> list[ShardWindow]:
        """Start all nodes."""
        return self._taken([shard.begin(last) for shard in self.shards])

    def run(self, before: float) -> list[ShardWindow]:
        """Hand over batches, and let happen all that happens before a time."""
        arrived = self._arrived()
        return self._taken([shard.run(before, arrived[shard.number]) for shard in self.shards])

    def save(self) -> None:
        """Do nothing: with these shards the whole simulation would be lost."""

    def restore(self) -> None:
        """Do nothing, as ``save`` does."""

    def incidents(self) -> Incidents:
        """Return what happened so far beside learning."""
        return sum((shard.incidents() for shard in self.shards), Incidents())

    def close(self) -> None:
        """Do nothing: there is nothing to end."""

    def _arrived(self) -> list[list[Batch]]:
        """Return what the last window planned for each shard."""
        return [list(batches) for batches in zip(*self._batches, strict=True)]

    def _taken(self, found: list[tuple[ShardWindow, list[Batch]]]) -> list[ShardWindow]:
        self._batches = [batches for _, batches in found]
        return [window for window, _ in found]
