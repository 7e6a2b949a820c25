"""Shards as actors on the machines of a Ray cluster. Batches travel from machine to machine, data and weights once.

A shard that is lost has all of them built anew, on the machines that are left, from the files that this process keeps.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dslnode.errors import StateError, UnreachableError
from dslnode.simulation.build import PreparedSimulation
from dslnode.simulation.engines import LOCAL_CLUSTER
from dslnode.simulation.ray_cluster import connect, explained, processors
from dslnode.simulation.records import Incidents, RoundRecord
from dslnode.simulation.shard import Deal, ShardWindow
from dslnode.simulation.shard_host import PART_BYTES, FrozenArrays, Holding, ShardHost, frozen_arrays
from dslnode.simulation.windows import Job

NODES_AT_A_TIME = 16
"""Nodes that a shard builds per call."""
START_SECONDS = 120.0
"""How long machines may take to start all actors."""
STORE_BYTES = 256 << 20
"""Memory for objects of a cluster that is started here, beside data and weights; what does not fit goes to the disk."""


class RayShards:
    """``shards`` actors on the cluster at ``address``; 0 for one per processor of it."""

    may_be_lost = True

    def __init__(self, job: Job, *, address: str = LOCAL_CLUSTER, shards: int = 0) -> None:
        self._job = job
        frozen = frozen_arrays(job.prepared)
        self._ray = connect(address, store_bytes=STORE_BYTES + shared_bytes(job.prepared, frozen.values()))
        self._given = self._ray.put(job.prepared), self._ray.put(frozen)
        nodes = len(job.prepared.plan.boards)
        self._deal = Deal(nodes, min(nodes, shards or max(1, int(processors(self._ray)))))
        self._actors: list[Any] = []
        self._batches: list[list[Any]] = []  # references, by the shard that planned them, and that of the nodes
        self._directory = tempfile.TemporaryDirectory(prefix="dslnode-shards-")
        self._saved: list[Path] = []
        self._digests: list[bytes] = []
        self.weights = 0

    def build(self) -> Iterator[int]:
        """Start the actors, and build all nodes; yield how many there are so far."""
        self._start()
        held = [self._deal.held_by(number) for number in range(self._deal.shards)]
        built = 0
        for begin in range(0, max(map(len, held)), NODES_AT_A_TIME):
            chosen = [numbers[begin : begin + NODES_AT_A_TIME] for numbers in held]
            saved = [{node: self._job.saved(node) for node in numbers} for numbers in chosen]
            self.weights = max(self._ask("add", [(each,) for each in saved]))
            built += sum(map(len, chosen))
            yield built

    def begin(self, last: Mapping[int, RoundRecord]) -> list[ShardWindow]:
        """Start all nodes."""
        own = [{node: last[node] for node in self._deal.held_by(i) if node in last} for i in range(self._deal.shards)]
        return self._advance("begin", [(each,) for each in own])

    def run(self, before: float) -> list[ShardWindow]:
        """Hand over batches, and let happen all that happens before a time."""
        return self._advance("run", [(before, *batches) for batches in self._arrived()])

    def save(self) -> None:
        """Write all shards, and fetch the files. Raises ``StateError`` if there is no room for them."""
        written = self._ask("write", self._arrived())
        self._batches = [[] for _ in self._actors]
        try:
            new = [self._fetch(number, size) for number, (size, _) in enumerate(written)]
        except OSError as error:
            raise StateError(
                f"{self._directory.name}: shards cannot be saved ({error.strerror}); make room, name another directory "
                "in TMPDIR, or leave --checkpoint-every out"
            ) from error
        self._saved = [file.replace(file.with_suffix(".saved")) for file in new]
        self._digests = [digest for _, digest in written]

    def restore(self) -> None:
        """Start the actors anew, and put them back to where they were saved."""
        self._start()
        for actor, file in zip(self._actors, self._saved, strict=True):
            with file.open("rb") as source, explained(self._ray):
                while content := source.read(PART_BYTES):
                    self._ray.get(actor.take_part.remote(content))
        self.weights = max(self._ask("restore", [(digest,) for digest in self._digests]))

    def incidents(self) -> Incidents:
        """Return what happened so far beside learning."""
        return sum(self._ask("incidents", [()] * len(self._actors)), Incidents())

    def close(self) -> None:
        """End the actors, and this process's part in the cluster."""
        self._end_actors()
        self._ray.shutdown()
        self._directory.cleanup()

    def _start(self) -> None:
        """Start as many actors as there are shards, spread over the machines; those that there were end."""
        self._end_actors()
        ray, deal = self._ray, self._deal
        part = min(1.0, processors(ray) / deal.shards)
        started = ray.remote(ShardHost).options(num_cpus=part, max_restarts=0, scheduling_strategy="SPREAD")
        for number in range(deal.shards):
            holding = Holding(
                deal=deal,
                number=number,
                checkpoint_every=self._job.checkpoint_every,
                threads=self._job.prepared.settings.threads,
            )
            self._actors.append(started.remote(*self._given, holding))
        self._batches = [[] for _ in self._actors]
        other = set(self._ask("version", [()] * deal.shards, timeout=START_SECONDS)) - {version("dslnode")}
        if other:
            raise UnreachableError(
                f"--ray-address: a machine of the cluster has dslnode {other.pop()}, this one {version('dslnode')}; "
                "install the same version on all"
            )

    def _end_actors(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)
        self._actors = []

    def _ask(self, method: str, arguments: list[Any], *, timeout: float | None = None) -> list[Any]:
        """Call a method of every actor with these arguments; return what they return."""
        with explained(self._ray):
            calls = [getattr(actor, method) for actor in self._actors]
            asked = [call.remote(*own) for call, own in zip(calls, arguments, strict=True)]
            found: list[Any] = self._ray.get(asked, timeout=timeout)
        return found

    def _advance(self, method: str, arguments: list[Any]) -> list[ShardWindow]:
        """Call ``begin`` or ``run`` of every actor; keep references of the batches, return the windows."""
        returns = 1 + self._deal.shards
        with explained(self._ray):
            calls = [getattr(actor, method).options(num_returns=returns) for actor in self._actors]
            found = [call.remote(*own) for call, own in zip(calls, arguments, strict=True)]
            windows: list[ShardWindow] = self._ray.get([window for window, *_ in found])
        self._batches = [batches for _, *batches in found]
        return windows

    def _arrived(self) -> list[list[Any]]:
        """Return references of the batches for each shard, but for its own, which are empty."""
        shards = range(self._deal.shards)
        return [
            [batches[number] for sender, batches in enumerate(self._batches) if batches and sender != number]
            for number in shards
        ]

    def _fetch(self, number: int, size: int) -> Path:
        """Return a new file with what a shard has written."""
        file = Path(self._directory.name) / f"{number}.new"
        with file.open("wb") as target, explained(self._ray):
            for offset in range(0, size, PART_BYTES):
                target.write(self._ray.get(self._actors[number].part.remote(offset)))
        return file


def shared_bytes(prepared: PreparedSimulation, frozen: Iterable[FrozenArrays]) -> int:
    """Return how many bytes of data and weights go into the store."""
    parts = prepared.parts
    examples = [examples for part in parts for examples in (part.train, part.held_out) if examples is not None]
    pretrained = {} if prepared.pretrained is None else prepared.pretrained.tensors
    arrays = [
        *(array for each in examples for array in (each.stored, each.targets)),
        *(array for each in frozen for array in (each.weights, each.signs, each.seeded) if array is not None),
        *pretrained.values(),
    ]
    return sum(array.nbytes for array in arrays)
