"""Lets predictions go first: work in the background waits between two of its steps while a request is answered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

MAX_WAIT_SECONDS = 0.02
"""How long one step waits at most: under an endless load the work still goes on, at up to 50 steps per second."""


class PredictionsFirst:
    """Counts the requests that are being answered; a step in the background waits until there is none."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting = 0

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Hold steps in the background back for as long as the block lasts."""
        with self._changed:
            self._waiting += 1
        try:
            yield
        finally:
            with self._changed:
                self._waiting -= 1
                self._changed.notify_all()

    def give_way(self, seconds: float = MAX_WAIT_SECONDS) -> None:
        """Return once no request is being answered, or after so many seconds."""
        if self._waiting:  # without the lock: a request that comes now is waited for at the next step
            with self._changed:
                self._changed.wait_for(lambda: not self._waiting, seconds)
