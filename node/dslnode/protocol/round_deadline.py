"""How long a round waits for neighbours, from how long they took lately. Pure: the caller's steady clock is passed in.

Only this node's own clock is read, and only to tell how long after its own training a neighbour's word came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from statistics import median

MIN_OBSERVATIONS = 8
"""Observations without which the limit holds."""
OBSERVATIONS_PER_NEIGHBOUR = 8
"""Observations that count of each neighbour, so that none outweighs another."""
MIN_SECONDS = 1.0
"""Seconds that a round waits at least: less is noise of schedulers and links."""
SPREAD_FACTOR = 6.0


def observed_deadline(delays: Sequence[float], limit: float) -> float:
    """Return for how many seconds to wait: twice the median delay and six times its spread, within bounds.

    The spread is the median distance from the median, so one neighbour in five may be as slow as it likes and moves
    neither. With few observations it is ``limit``.
    """
    if len(delays) < MIN_OBSERVATIONS:
        return limit
    middle = median(delays)
    spread = median(abs(delay - middle) for delay in delays)
    return min(limit, max(MIN_SECONDS, 2 * middle + SPREAD_FACTOR * spread))


class RoundDeadline:
    """Watches when neighbours speak, and sets the deadline of each round; ``limit`` seconds are the most."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._due: dict[str, float] = {}
        self._delays: dict[str, deque[float]] = {}

    def begin(self, now: float, awaited: Collection[str], expected: Iterable[str], *, patient: bool = False) -> float:
        """Training is over: return for how many seconds to wait for the ``awaited``; to the limit if ``patient``.

        ``expected`` are all that speak in every round; who of them is not awaited has spoken already. One that came too
        late last time is still due since then, whatever the rounds in between.
        """
        here = set(expected)
        self._due = {peer: since for peer, since in self._due.items() if peer in here}
        self._delays = {peer: delays for peer, delays in self._delays.items() if peer in here}
        for peer in here - self._due.keys():
            if peer in awaited:
                self._due[peer] = now
            else:
                self._observe(peer, 0.0)
        observed = [delay for delays in self._delays.values() for delay in delays]
        return self._limit if patient else observed_deadline(observed, self._limit)

    def heard(self, peer: str, now: float) -> None:
        """A neighbour spoke."""
        if peer in self._due:
            self._observe(peer, now - self._due.pop(peer))

    def _observe(self, peer: str, delay: float) -> None:
        self._delays.setdefault(peer, deque(maxlen=OBSERVATIONS_PER_NEIGHBOUR)).append(delay)
