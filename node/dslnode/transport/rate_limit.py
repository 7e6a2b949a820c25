"""How much a neighbour may send: token buckets for messages and bytes. Pure; times are handed in, in seconds.

A bucket holds what was not used before, up to its depth, and fills at its rate (the generic cell rate algorithm of
ITU-T I.371 counts the same). Honest nodes wait for each other's masks and never come near either rate.
"""

from __future__ import annotations

from dataclasses import dataclass

MESSAGES_PER_SECOND = 1_000.0
MASKS_PER_SECOND = 20.0
"""Packed masks of the larger kind whose bytes a neighbour may send in a second."""
MIN_BYTES_PER_SECOND = 1_000_000.0
DEPTH_SECONDS = 5.0
"""Seconds of its rate that a bucket holds."""


@dataclass
class TokenBucket:
    """What may be taken at once, and how fast that comes back."""

    rate: float
    taken: float = 0.0  # of what the bucket holds when it is full
    since: float = 0.0

    def take(self, amount: float, now: float) -> bool:
        """Take so much; return whether the bucket held it. What it did not hold is taken all the same."""
        self.taken = max(0.0, self.taken - self.rate * max(0.0, now - self.since)) + amount
        self.since = now
        return self.taken <= self.rate * DEPTH_SECONDS


class PeerRateLimit:
    """What one neighbour may send, by whatever links. ``mask_bytes`` is the size of the largest packed mask."""

    def __init__(self, mask_bytes: int) -> None:
        self._messages = TokenBucket(MESSAGES_PER_SECOND)
        self._bytes = TokenBucket(max(MIN_BYTES_PER_SECOND, MASKS_PER_SECOND * mask_bytes))

    def take(self, size: int, now: float) -> str:
        """Take in a message of ``size`` bytes; return what it was too much of, empty if the neighbour may go on."""
        messages, octets = self._messages.take(1, now), self._bytes.take(size, now)
        if not messages:
            return f"sends more than {self._messages.rate:.0f} messages a second"
        return "" if octets else f"sends more than {self._bytes.rate:.0f} bytes a second"
