"""Codes each mask once for all neighbours that hold the same reference; large masks in a thread of their own."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, replace

from dslnode.protocol.codec.delta import Reference, ReferenceChoice
from dslnode.protocol.codec.mask_codec import Codec, CodedMask, encode_for
from dslnode.protocol.messages import MaskMessage

LARGE = 1 << 20
"""Weights beyond which coding would block the event loop for too long."""
CACHED_MASKS = 4


@dataclass(frozen=True)
class _Entry:
    message: MaskMessage
    readable: frozenset[Codec]
    reference: Reference | None
    coded: CodedMask
    after: Reference

    def matches(self, message: MaskMessage, readable: frozenset[Codec], reference: Reference | None) -> bool:
        return self.message.mask is message.mask and self.reference is reference and self.readable == readable


class EncodeCache:
    """The last coded masks of a node. All its links share one cache.

    Masks of more weights than ``large`` are coded in a thread of their own.
    """

    def __init__(self, large: float = LARGE) -> None:
        self._large = large
        self._entries: deque[_Entry] = deque(maxlen=CACHED_MASKS)
        self._lock = asyncio.Lock()

    async def encode(
        self, message: MaskMessage, readable: frozenset[Codec], choice: ReferenceChoice, reference: Reference | None
    ) -> tuple[CodedMask, Reference]:
        """Return the coded mask, and the reference that the neighbour holds after it."""
        async with self._lock:
            matching = (entry for entry in self._entries if entry.matches(message, readable, reference))
            entry = next(matching, None)
            if entry is None:
                large = message.mask.layout.size > self._large
                work = asyncio.to_thread(encode_for, readable, message, choice, reference) if large else None
                coded, after = encode_for(readable, message, choice, reference) if work is None else await work
                entry = _Entry(message, readable, reference, coded, after)
                self._entries.append(entry)
        return replace(entry.coded, round=message.round, step=message.step, reference=choice), entry.after
