"""When the state is written: every so many rounds, and, at an orderly stop, what is not written yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dslnode.errors import StateError
from dslnode.runtime.checkpoint import Snapshot, StateDirectory
from dslnode.runtime.learner_thread import LearnerThread
from dslnode.runtime.snapshot_metadata import SnapshotMetadata
from dslnode.telemetry.logs import Logger
from dslnode.telemetry.metrics import Metrics
from dslnode.telemetry.recurring_problem import RecurringProblem


@dataclass(frozen=True)
class CheckpointSchedule:
    """Writes every ``every`` rounds, and after the ``last`` one of all (0: there is no end)."""

    every: int
    last: int = 0

    def is_due(self, finished: int) -> bool:
        """Return whether to write now that so many rounds are finished."""
        return finished % self.every == 0 or finished == self.last


class CheckpointWriter:
    """Saves finished rounds; without ``state`` it only logs them. ``metadata`` returns that of a snapshot by its round.

    A round that is not written yet, or could not be, waits in memory, so that an orderly stop loses none, whatever the
    learner does.
    """

    def __init__(
        self,
        state: StateDirectory | None,
        schedule: CheckpointSchedule,
        worker: LearnerThread,
        metadata: Callable[[int], SnapshotMetadata],
        *,
        log: Logger,
        metrics: Metrics,
    ) -> None:
        self._state = state
        self._schedule = schedule
        self._worker = worker
        self._metadata = metadata
        self._log = log
        self._metrics = metrics
        self._problem = RecurringProblem(
            "state not saved", "state saved again", log, lambda: metrics.count_save_failure("state")
        )
        self._unwritten: Snapshot | None = None
        self._writing = asyncio.Lock()

    async def finished(self, number: int, line: Mapping[str, Any], *, is_best: bool = False) -> None:
        """Save, if it is due, that so many rounds are finished; the round is logged once that is done.

        ``is_best`` says that its model is the best so far, which is saved at once, beside the state.
        """
        async with self._writing:
            if is_best and self._state is not None:
                await self._save_best(self._state, number)
            saved = self._state is None or await self._save(self._state, number)
        if saved:
            self._log.info("round", **line)

    async def close(self) -> None:
        """Write the last finished round, if that was not done yet; the learner need not have come to rest.

        What is being written is waited for, however slow the disk.
        """
        async with self._writing:
            await self._write_last()

    async def _write_last(self) -> None:
        if self._state is None or self._unwritten is None:
            return
        snapshot, self._unwritten = self._unwritten, None
        try:
            written = await asyncio.to_thread(self._state.save, snapshot)
        except StateError as error:
            self._problem.failed(str(error), round=snapshot.metadata.round, is_last=True)
        else:
            self._problem.succeeded(round=snapshot.metadata.round)
            self._metrics.checkpoint_bytes.inc(written)

    async def _save_best(self, state: StateDirectory, number: int) -> None:
        try:
            written = await self._worker.save_best(state, self._metadata(number))
        except StateError as error:
            self._metrics.count_save_failure("best")
            self._log.error("best model not saved", problem=str(error), round=number)
        else:
            self._metrics.checkpoint_bytes.inc(written)

    async def _save(self, state: StateDirectory, number: int) -> bool:
        metadata, self._unwritten = self._metadata(number), None
        if not self._schedule.is_due(number):
            self._unwritten = await self._worker.snapshot(metadata)
            return True
        try:
            written, seconds = await self._worker.save(state, metadata)
        except StateError as error:
            self._problem.failed(str(error), round=number)
            self._unwritten = await self._worker.snapshot(metadata)
            return False
        self._problem.succeeded(round=number)
        self._metrics.observe_phase("save", seconds)
        self._metrics.checkpoint_bytes.inc(written)
        return True
