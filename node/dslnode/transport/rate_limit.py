"""How much a neighbour may send: token buckets for messages and bytes. Pure: ``now`` is passed in, in seconds.

A bucket fills at its rate and holds what was not used, up to its depth. (The generic cell rate algorithm of ITU-T
I.371 counts the same.) Honest nodes wait for each other's masks and stay far below both rates.
"""

from __future__ import annotations

from dataclasses import dataclass

MESSAGES_PER_SECOND = 1_000.0
MASKS_PER_SECOND = 20.0
"""Packed masks of the larger kind whose bytes a neighbour may send per second."""
MIN_BYTES_PER_SECOND = 1_000_000.0
DEPTH_SECONDS = 5.0
"""Depth of a bucket, in seconds of its rate."""


@dataclass
class TokenBucket:
    """A token bucket, kept as what was consumed of a full one."""

    rate: float  # tokens per second
    consumed: float = 0.0  # tokens
    updated: float = 0.0  # seconds

    def consume(self, tokens: float, now: float) -> bool:
        """Consume tokens, and return whether the bucket held them. They are consumed in either case."""
        self.consumed = max(0.0, self.consumed - self.rate * max(0.0, now - self.updated)) + tokens
        self.updated = now
        return self.consumed <= self.rate * DEPTH_SECONDS


class PeerRateLimit:
    """What one neighbour may send over all its links. ``mask_bytes`` is the size of the largest packed mask."""

    def __init__(self, mask_bytes: int) -> None:
        self._messages = TokenBucket(MESSAGES_PER_SECOND)
        self._bytes = TokenBucket(max(MIN_BYTES_PER_SECOND, MASKS_PER_SECOND * mask_bytes))

    def consume(self, size: int, now: float) -> str:
        """Count a message of ``size`` bytes; return which limit it exceeds, in words, or an empty text."""
        messages_allowed, bytes_allowed = self._messages.consume(1, now), self._bytes.consume(size, now)
        if not messages_allowed:
            return f"sends more than {self._messages.rate:.0f} messages a second"
        return "" if bytes_allowed else f"sends more than {self._bytes.rate:.0f} bytes a second"
