"""The one thread that owns the learner and the disk. The event loop awaits its results; only values cross."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from dslnode.inference.model_file import pack
from dslnode.inference.model_header import Description
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.learning.learner import Learner
from dslnode.learning.model_description import personal_model
from dslnode.learning.results import AggregatedRound, Best, TrainedRound
from dslnode.protocol.events import NeighbourMasks
from dslnode.protocol.mask import Mask
from dslnode.protocol.messages import ExchangeState, MaskMessage, RoundMessage
from dslnode.runtime.checkpoint import Snapshot, StateDirectory
from dslnode.runtime.snapshot_metadata import SnapshotMetadata

Result = TypeVar("Result")
ALONE = "alone."
"""Before the names of the arrays of the mask that learns without neighbours."""


class LearnerThread:
    """Runs the learner's work in order, one call at a time. After ``interrupt`` a running call ends early.

    ``alone`` learns the same rounds without neighbours, each once its masks are sent, so that nobody waits for it.
    """

    def __init__(self, learner: Learner, nice: int = 0, *, alone: Learner | None = None) -> None:
        self._learner = learner
        self._alone = alone
        self._number = 0
        self._thread = ThreadPoolExecutor(1, "learner", os.nice, (nice,))  # a thread's own on Linux
        self._interrupted = threading.Event()

    @property
    def interrupted(self) -> bool:
        """Whether the node is stopping, and results are not used."""
        return self._interrupted.is_set()

    def interrupt(self) -> None:
        """End local training or evaluation at its next step, and begin no more of it."""
        self._interrupted.set()

    def close(self) -> None:
        """Take no more work; a step that still runs is not waited for."""
        self._thread.shutdown(wait=False)

    async def train(self, number: int) -> TrainedRound:
        """Run the local training of a round."""
        return await self._run(lambda: self._train(number))

    async def open_exchange(self, peer: str) -> ExchangeState:
        """Return the state of the exchange with a neighbour, to be sent when a link opens."""
        return await self._run(lambda: self._learner.open_exchange(peer))

    async def resynchronize(self, peer: str, state: ExchangeState) -> list[MaskMessage]:
        """Take in a neighbour's state of the exchange; return the sign masks that it lost."""
        return await self._run(lambda: self._learner.resynchronize(peer, state))

    async def make_steps(self, number: int, peers: tuple[str, ...]) -> dict[str, RoundMessage]:
        """Return the message of this round for each neighbour that keeps up."""
        return await self._run(lambda: self._learner.make_steps(number, peers))

    async def forget(self, peers: tuple[str, ...]) -> None:
        """Drop what is kept of these neighbours' scores."""
        await self._run(lambda: self._learner.forget(peers))

    async def aggregate(self, neighbours: tuple[NeighbourMasks, ...], *, evaluate: bool) -> AggregatedRound:
        """Aggregate what neighbours sent, and judge the personal model on held-out data if asked."""
        return await self._run(lambda: self._aggregate(neighbours, evaluate=evaluate))

    async def snapshot(self, metadata: SnapshotMetadata) -> Snapshot:
        """Return the learner's state with this metadata: a copy, which later rounds do not change."""
        return await self._run(lambda: Snapshot(metadata, self._state()))

    async def model_file(self, description: Description, *, best: bool) -> bytes:
        """Return the best personal model, or the present one, as a file."""
        return await self._run(lambda: pack(personal_model(self._learner, description, best=best)))

    async def hand_over_best(self, description: Description, take: Callable[[PersonalModelFile], None]) -> None:
        """Call ``take`` with the best personal model, or the present one, before the learner does anything else."""
        await self._run(lambda: take(personal_model(self._learner, description)))

    async def save_best(self, state: StateDirectory, metadata: SnapshotMetadata) -> int:
        """Make the learner's present state durable as the best one; return bytes written. Raises ``StateError``."""
        return await self._run(lambda: state.save_best(Snapshot(metadata, self._state())))

    async def save(self, state: StateDirectory, metadata: SnapshotMetadata) -> tuple[int, float]:
        """Make the learner's state durable; return bytes written and seconds. Raises ``StateError``."""
        began = time.monotonic()
        written = await self._run(lambda: state.save(Snapshot(metadata, self._state())))
        return written, time.monotonic() - began

    def _train(self, number: int) -> TrainedRound:
        began, self._number = time.monotonic(), number
        before = self._learner.mask
        if number == 0:
            self._judge_untrained()
        progress = self._learner.train_round(number, self._interrupted.is_set)
        mask = self._learner.mask
        flips = Mask(mask.layout, mask.bits ^ before.bits)
        return TrainedRound(mask, progress, flips.layer_densities(), flips.density, time.monotonic() - began)

    def _judge_untrained(self) -> None:
        """Keep the untrained model until one is better: of numbers it answers the mean, which not all data beat."""
        score = self._learner.score(self._interrupted.is_set)
        if score is not None:
            self._learner.keep_if_best(score)

    def _aggregate(self, neighbours: tuple[NeighbourMasks, ...], *, evaluate: bool) -> AggregatedRound:
        began = time.monotonic()
        masks = self._learner.aggregate(neighbours)
        seconds = time.monotonic() - began
        held_out = self._learner.judge(self._interrupted.is_set) if evaluate else None
        learner = self._learner
        best = self._best(is_new=held_out is not None and learner.keep_if_best(held_out.score))
        return AggregatedRound(
            masks,
            held_out,
            learner.collaboration_weight,
            learner.restarts,
            seconds,
            best,
            self._learn_alone(evaluate=evaluate),
        )

    def _learn_alone(self, *, evaluate: bool) -> float | None:
        """Repeat the round without neighbours; return its held-out score if that is due."""
        if self._alone is None:
            return None
        self._alone.train_round(self._number, self._interrupted.is_set)
        self._alone.aggregate([])
        return self._alone.score(self._interrupted.is_set) if evaluate else None

    def _state(self) -> dict[str, np.ndarray]:
        alone = {} if self._alone is None else self._alone.state()
        return {**self._learner.state(), **{ALONE + name: array for name, array in alone.items()}}

    def _best(self, *, is_new: bool) -> Best | None:
        best = self._learner.best
        return None if best is None else Best(best.round, best.score, is_new)

    async def _run(self, call: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)
