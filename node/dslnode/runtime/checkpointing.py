"""When a node writes what it learned: every so many rounds, and what is not written yet at an orderly stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dslnode.errors import StateError
from dslnode.runtime.checkpoint import Snapshot, StateDirectory
from dslnode.runtime.learner_thread import LearnerThread
from dslnode.telemetry.logs import Logger
from dslnode.telemetry.metrics import Metrics


@dataclass(frozen=True)
class CheckpointSchedule:
    """Every how many rounds to write; the ``last`` one of all is written, too (0: there is no end)."""

    every: int
    last: int = 0

    def is_due(self, finished: int) -> bool:
        """Return whether to write now that so many rounds are finished."""
        return finished % self.every == 0 or finished == self.last


class CheckpointWriter:
    """Keeps finished rounds; without ``state`` it only logs them. ``facts`` returns what to remember of a round.

    A round that is not written yet, or could not be, waits in memory, so that an orderly stop loses none, whatever the
    learner does.
    """

    def __init__(
        self,
        state: StateDirectory | None,
        schedule: CheckpointSchedule,
        worker: LearnerThread,
        facts: Callable[[int], Mapping[str, Any]],
        *,
        log: Logger,
        metrics: Metrics,
    ) -> None:
        self._state = state
        self._schedule = schedule
        self._worker = worker
        self._facts = facts
        self._log = log
        self._metrics = metrics
        self._unwritten: Snapshot | None = None
        self._writing = asyncio.Lock()

    async def finished(self, number: int, line: Mapping[str, Any]) -> None:
        """Take in that so many rounds are finished; if they are to be written now, say so only when that is done."""
        async with self._writing:
            kept = self._state is None or await self._keep(self._state, number)
        if kept:
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
            self._complain(snapshot.facts["round"], error)
        else:
            self._metrics.checkpoint_bytes.inc(written)

    async def _keep(self, state: StateDirectory, number: int) -> bool:
        facts, self._unwritten = self._facts(number), None
        if not self._schedule.is_due(number):
            self._unwritten = await self._worker.snapshot(facts)
            return True
        try:
            written, seconds = await self._worker.save(state, facts)
        except StateError as error:
            self._complain(number, error)
            self._unwritten = await self._worker.snapshot(facts)
            return False
        self._metrics.observe_phase("save", seconds)
        self._metrics.checkpoint_bytes.inc(written)
        return True

    def _complain(self, number: int, error: StateError) -> None:
        self._log.error("state not saved", round=number, problem=str(error))
