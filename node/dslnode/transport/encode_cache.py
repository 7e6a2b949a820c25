"""Codes each mask once for all neighbours that hold the same of it; large ones beside the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, replace

from dslnode.protocol.codec.delta import Reference, ReferenceChoice
from dslnode.protocol.codec.mask_codec import Codec, CodedMask, encode_for
from dslnode.protocol.messages import MaskMessage

LARGE = 1 << 20
"""Weights beyond which coding takes so long that it runs in a thread of its own."""
KEPT = 4
"""Coded masks that are kept for other neighbours."""


@dataclass(frozen=True)
class _Done:
    message: MaskMessage
    readable: frozenset[Codec]
    base: Reference | None
    coded: CodedMask
    following: Reference

    def serves(self, message: MaskMessage, readable: frozenset[Codec], base: Reference | None) -> bool:
        return self.message.mask is message.mask and self.base is base and self.readable == readable


class EncodeCache:
    """All links of a node share one."""

    def __init__(self) -> None:
        self._done: deque[_Done] = deque(maxlen=KEPT)
        self._turn = asyncio.Lock()

    async def code(
        self, message: MaskMessage, readable: frozenset[Codec], choice: ReferenceChoice, base: Reference | None
    ) -> tuple[CodedMask, Reference]:
        """Return the coded mask, and what a neighbour holds after it."""
        async with self._turn:
            done = next((one for one in self._done if one.serves(message, readable, base)), None)
            if done is None:
                large = message.mask.layout.size > LARGE
                work = asyncio.to_thread(encode_for, readable, message, choice, base) if large else None
                coded, following = encode_for(readable, message, choice, base) if work is None else await work
                done = _Done(message, readable, base, coded, following)
                self._done.append(done)
        return replace(done.coded, round=message.round, step=message.step, base=choice), done.following
