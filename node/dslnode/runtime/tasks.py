"""Tasks beside the round machine: held until they end, never failing silently; and a timer for one deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine


class BackgroundTasks:
    """Starts tasks; ``failed`` is called with the exception of one that fails."""

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Run a coroutine as a task; its end is not waited for."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def settle(self, timeout: float | None) -> bool:
        """Wait at most ``timeout`` seconds for all tasks to end; return whether one still runs."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)
        return bool(self._tasks)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)


class Timer:
    """Calls back once when its time is up; setting it again replaces what was set before."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float, callback: Callable[[], object]) -> None:
        """Call back in so many seconds, on the event loop's thread."""
        self.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, callback)

    def cancel(self) -> None:
        """Call back no more."""
        if self._timer is not None:
            self._timer.cancel()
