"""How many seconds a round waits for neighbours, from how long they took lately. Pure: ``now`` is passed in.

Times are seconds of this node's steady clock. No other clock is read or compared.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from statistics import median

MIN_OBSERVATIONS = 8
"""Observed delays below which the limit is the deadline."""
OBSERVATIONS_PER_NEIGHBOUR = 8
"""Newest delays that count per neighbour, so that no neighbour outweighs another."""
MIN_SECONDS = 1.0
"""The shortest deadline: smaller differences are noise of schedulers and links."""
SPREAD_FACTOR = 6.0


def observed_deadline(delays: Sequence[float], limit: float) -> float:
    """Return the deadline in seconds: twice the median delay plus six times its spread, within bounds.

    The spread is the median distance from the median, so that one slow neighbour in five moves neither. With few
    observations the deadline is ``limit``.
    """
    if len(delays) < MIN_OBSERVATIONS:
        return limit
    middle = median(delays)
    spread = median(abs(delay - middle) for delay in delays)
    return min(limit, max(MIN_SECONDS, 2 * middle + SPREAD_FACTOR * spread))


class RoundDeadline:
    """Measures how long after our training neighbours' messages arrive. ``limit``: the longest deadline, seconds."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._due_since: dict[str, float] = {}
        self._delays: dict[str, deque[float]] = {}

    def begin(self, now: float, awaited: Collection[str], expected: Iterable[str], *, patient: bool = False) -> float:
        """Training is over: return the seconds to wait for the ``awaited``; the limit if ``patient``.

        ``expected`` are all neighbours that send a message in every round. Those of them that are not awaited have
        sent it already, which counts as a delay of 0. A neighbour that missed an earlier round is measured from then.
        """
        peers = set(expected)
        self._due_since = {peer: since for peer, since in self._due_since.items() if peer in peers}
        self._delays = {peer: delays for peer, delays in self._delays.items() if peer in peers}
        for peer in peers - self._due_since.keys():
            if peer in awaited:
                self._due_since[peer] = now
            else:
                self._observe(peer, 0.0)
        observed = [delay for delays in self._delays.values() for delay in delays]
        return self._limit if patient else observed_deadline(observed, self._limit)

    def message_arrived(self, peer: str, now: float) -> None:
        """Measure the delay of a neighbour's message. Only the first message of a round counts."""
        if peer in self._due_since:
            self._observe(peer, now - self._due_since.pop(peer))

    def _observe(self, peer: str, delay: float) -> None:
        self._delays.setdefault(peer, deque(maxlen=OBSERVATIONS_PER_NEIGHBOUR)).append(delay)
