"""How much a neighbour may send: token buckets for messages, bytes and member records.

Pure: ``now`` is passed in, in seconds. A bucket fills at its rate and holds what was not used, up to its depth. (The
generic cell rate algorithm of ITU-T I.371 counts the same.) Honest nodes stay far below all rates.
"""

from __future__ import annotations

from dataclasses import dataclass

from dslnode.protocol.membership import MAX_MEMBERS

MESSAGES_PER_SECOND = 1_000.0
MASKS_PER_SECOND = 20.0
"""Packed masks of the larger kind whose bytes a neighbour may send per second."""
MIN_BYTES_PER_SECOND = 1_000_000.0
DEPTH_SECONDS = 5.0
"""Depth of a bucket, in seconds of its rate, unless it has one of its own."""
RECORDS_PER_SECOND = 50.0
"""Member records that a neighbour may send per second. Each may need a signature checked, milliseconds on a board."""
RECORDS_DEPTH = 2.0 * (MAX_MEMBERS + 1)
"""Member records at once: all of a large network, when a link opens."""


@dataclass
class TokenBucket:
    """A token bucket, kept as what was consumed of a full one."""

    rate: float  # tokens per second
    consumed: float = 0.0  # tokens
    updated: float = 0.0  # seconds
    depth: float = 0.0  # tokens; 0 for what flows in within ``DEPTH_SECONDS``

    def allows(self, tokens: float, now: float) -> bool:
        """Return whether the bucket holds so many tokens."""
        return self._consumed_by(now) + tokens <= (self.depth or self.rate * DEPTH_SECONDS)

    def consume(self, tokens: float, now: float) -> bool:
        """Consume tokens, and return whether the bucket held them. They are consumed in either case."""
        held = self.allows(tokens, now)
        self.consumed = self._consumed_by(now) + tokens
        self.updated = now
        return held

    def _consumed_by(self, now: float) -> float:
        return max(0.0, self.consumed - self.rate * max(0.0, now - self.updated))


class PeerRateLimit:
    """What one neighbour may send over all its links. ``mask_bytes`` is the size of the largest packed mask."""

    def __init__(self, mask_bytes: int) -> None:
        self._messages = TokenBucket(MESSAGES_PER_SECOND)
        self._bytes = TokenBucket(max(MIN_BYTES_PER_SECOND, MASKS_PER_SECOND * mask_bytes))
        self._records = TokenBucket(RECORDS_PER_SECOND, depth=RECORDS_DEPTH)

    def consume(self, size: int, now: float, *, records: int = 0) -> str:
        """Count a message of ``size`` bytes with so many member records.

        Return which limit it exceeds, in words, or an empty text.
        """
        messages_allowed, bytes_allowed = self._messages.consume(1, now), self._bytes.consume(size, now)
        if not self._records.consume(records, now):
            return f"sends more than {self._records.rate:.0f} member records a second"
        if not messages_allowed:
            return f"sends more than {self._messages.rate:.0f} messages a second"
        return "" if bytes_allowed else f"sends more than {self._bytes.rate:.0f} bytes a second"
