"""What runs beside the daemon's event loop: jobs, held until they end and never failing silently, and one alarm."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine


class BackgroundTasks:
    """Starts jobs; ``failed`` is called with the exception of one that failed."""

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._jobs: set[asyncio.Task[None]] = set()

    def start(self, job: Coroutine[None, None, None]) -> None:
        """Run a job; its end is not waited for."""
        task = asyncio.ensure_future(job)
        self._jobs.add(task)
        task.add_done_callback(self._done)

    async def settle(self, timeout: float | None) -> bool:
        """Wait at most ``timeout`` seconds for all jobs to end; return whether one still runs."""
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=timeout)
        return bool(self._jobs)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._jobs.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)


class Timer:
    """Calls back once when its time is up; setting it anew replaces what was set before."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float, callback: Callable[[], object]) -> None:
        """Call back in so many seconds, on the event loop."""
        self.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, callback)

    def cancel(self) -> None:
        """Call back no more."""
        if self._timer is not None:
            self._timer.cancel()
