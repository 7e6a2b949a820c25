"""The one thread that owns the learner and the disk; the event loop awaits its results. Only values cross."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from dslnode.checkpoint import Snapshot, StateDirectory
from dslnode.events import HeldMask
from dslnode.learner import Learner
from dslnode.mask import Mask
from dslnode.training import Progress

Result = TypeVar("Result")


@dataclass(frozen=True)
class TrainedRound:
    """What local training gave: the mask to send, how it went, and the part of the mask's bits that flipped."""

    mask: Mask
    progress: Progress
    held_out: float | None
    flipped: float
    seconds: float


class Worker:
    """Runs the learner's work in order, one piece at a time. After ``interrupt`` a running piece ends early."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="learner")
        self._interrupted = threading.Event()

    @property
    def interrupted(self) -> bool:
        """Whether results are not wanted any more."""
        return self._interrupted.is_set()

    def interrupt(self) -> None:
        """End what runs at the next step, and do nothing more that takes long."""
        self._interrupted.set()

    def close(self) -> None:
        """Take no more work; a step that still runs is not waited for."""
        self._thread.shutdown(wait=False)

    async def train(self, number: int, *, evaluate: bool) -> TrainedRound:
        """Run the local training of a round, and measure the held-out accuracy if asked."""
        return await self._run(lambda: self._train(number, evaluate=evaluate))

    async def aggregate(self, number: int, masks: tuple[HeldMask, ...]) -> float:
        """Aggregate masks, each weighing half as much for every round of staleness; return the seconds it took."""
        weighted = [(held.mask, 0.5**held.staleness) for held in masks]
        return await self._run(lambda: _timed(lambda: self._learner.aggregate(number, weighted)))

    async def save(self, state: StateDirectory, facts: Mapping[str, Any]) -> tuple[int, float]:
        """Make the learner's state durable; return bytes written and seconds. Raises ``StateError``."""
        began = time.monotonic()
        written = await self._run(lambda: state.save(Snapshot(facts, self._learner.state())))
        return written, time.monotonic() - began

    def _train(self, number: int, *, evaluate: bool) -> TrainedRound:
        began = time.monotonic()
        before = self._learner.mask
        stop = self._interrupted.is_set
        progress = self._learner.train(number, stop)
        held_out = self._learner.accuracy(stop) if evaluate else None
        mask = self._learner.mask
        flipped = mask.distance(before) / max(1, mask.layout.size)
        return TrainedRound(mask, progress, held_out, flipped, time.monotonic() - began)

    async def _run(self, piece: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, piece)


def _timed(piece: Callable[[], None]) -> float:
    began = time.monotonic()
    piece()
    return time.monotonic() - began
