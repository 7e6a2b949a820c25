"""What holds one shard in a process of its own, and does what the process that drives all of them asks for."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from dslnode.learning.frozen_network import ScoreSharing
from dslnode.simulation.build import NetworkBuilder, PreparedSimulation
from dslnode.simulation.records import Incidents, RoundRecord
from dslnode.simulation.shard import Arrays, Batch, Deal, Shard, ShardWindow
from dslnode.simulation.snapshot import given_to, read_snapshot, write_snapshot
from dslnode.simulation.virtual_learner import Counts, FrozenTensors

PART_BYTES = 16 << 20
"""How much of a file travels at a time."""
MOST_FROZEN = 8
"""Keep ratios whose frozen tensors processes share; with more, each process makes those of others by itself."""


@dataclass(frozen=True, eq=False)
class FrozenArrays:
    """Frozen tensors as arrays: weights, and signs and seeded scores where weights share scores."""

    weights: np.ndarray
    signs: np.ndarray | None
    seeded: np.ndarray | None

    @classmethod
    def of(cls, tensors: FrozenTensors) -> FrozenArrays:
        """Return those of tensors, whose memory they show."""
        sharing = tensors.sharing
        if sharing is None:
            return cls(tensors.weights.numpy(), None, None)
        return cls(tensors.weights.numpy(), sharing.signs.numpy(), sharing.seeded.numpy())

    def tensors(self) -> FrozenTensors:
        """Return the tensors, which show the memory of the arrays. Nobody writes to them; it may be read-only."""
        weights = torch.from_numpy(self.weights)
        if self.signs is None or self.seeded is None:
            return FrozenTensors(weights, None)
        return FrozenTensors(weights, ScoreSharing(torch.from_numpy(self.signs), torch.from_numpy(self.seeded)))


def frozen_arrays(prepared: PreparedSimulation) -> dict[Counts, FrozenArrays]:
    """Return what all processes can share of the frozen networks, by keep counts."""
    first: dict[float, int] = {}
    for number, board in enumerate(prepared.plan.boards):
        first.setdefault(board.keep_ratio, number)
    found = {}
    for number in list(first.values())[:MOST_FROZEN]:
        network = NetworkBuilder(prepared).add(number).network
        found[network.counts] = FrozenArrays.of(FrozenTensors.of(network))
    return found


@dataclass(frozen=True, kw_only=True)
class Holding:
    """Which shard a process holds, and how: threads of torch, rounds between two states of every node."""

    deal: Deal
    number: int
    checkpoint_every: int
    threads: int


class ShardHost:
    """Holds a shard. ``prepared`` and ``frozen`` may lie in memory that is read-only and shared."""

    def __init__(self, prepared: PreparedSimulation, frozen: Mapping[Counts, FrozenArrays], holding: Holding) -> None:
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        torch.set_num_threads(holding.threads)
        own = {counts: arrays.tensors() for counts, arrays in frozen.items()}
        self._shard = Shard(prepared, holding.deal, holding.number, holding.checkpoint_every, own)
        self._given = given_to(self._shard)
        self._directory = tempfile.TemporaryDirectory(prefix="dslnode-shard-")
        self._file = Path(self._directory.name) / "shard"

    def version(self) -> str:
        """Return the version of dslnode that runs here."""
        return version("dslnode")

    def add(self, saved: Mapping[int, Arrays | None]) -> int:
        """Build nodes; return the number of weights of the model."""
        self._shard.add(saved)
        return self._shard.weights

    def begin(self, last: Mapping[int, RoundRecord]) -> tuple[ShardWindow | Batch, ...]:
        """Start all nodes; return the window, and a batch for every shard."""
        window, batches = self._shard.begin(last)
        return window, *batches

    def run(self, before: float, *arrived: Batch) -> tuple[ShardWindow | Batch, ...]:
        """Take in what arrived, run a window; return it, and a batch for every shard."""
        window, batches = self._shard.run(before, arrived)
        return window, *batches

    def incidents(self) -> Incidents:
        """Return what happened so far beside learning."""
        return self._shard.incidents()

    def write(self, *arrived: Batch) -> tuple[int, bytes]:
        """Take in what arrived, and write the shard to a file; return its length in bytes, and its digest."""
        self._shard.take_in(arrived)
        digest = write_snapshot(self._file, self._shard)
        return self._file.stat().st_size, digest

    def part(self, offset: int) -> bytes:
        """Return up to ``PART_BYTES`` of that file."""
        with self._file.open("rb") as file:
            file.seek(offset)
            return file.read(PART_BYTES)

    def take_part(self, content: bytes) -> None:
        """Add to the file from which ``restore`` reads."""
        with self._file.open("ab") as file:
            file.write(content)

    def restore(self, digest: bytes) -> int:
        """Go on from the file, which has this digest; return the number of weights of the model."""
        self._shard = read_snapshot(self._file, digest, self._given)
        self._file.unlink()
        return self._shard.weights
