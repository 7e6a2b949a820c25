"""What messages take on the wire: coded and framed by the daemon's own encoder, and counted as the daemon counts."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from dslnode.protocol.messages import MaskKind
from dslnode.transport.frame_codec import FrameEncoder, LinkMessage, OutgoingFrame
from dslnode.transport.traffic import GRPC_FRAMING, Flow

Result = TypeVar("Result")


@dataclass(frozen=True)
class Framed:
    """The frames of one message: bytes with gRPC's framing, bits of payload, and the kind of the mask, if it is one."""

    framed_bytes: int
    payload_bits: int = 0
    kind: MaskKind | None = None
    frames: int = 1

    @classmethod
    def of(cls, frames: Sequence[OutgoingFrame]) -> Framed:
        """Return what these frames of one message take."""
        return cls(
            sum(outgoing.frame.ByteSize() + GRPC_FRAMING for outgoing in frames),
            sum(outgoing.payload_bits for outgoing in frames),
            next((outgoing.kind for outgoing in frames), None),
            len(frames),
        )

    def count_in(self, flow: Flow, *, wire_bytes: int, resent_bytes: int = 0) -> None:
        """Count the message in one direction of a link."""
        flow.count(self.framed_bytes - GRPC_FRAMING, self.kind, self.payload_bits)
        flow.masks += self.kind is not None
        flow.link_bytes += wire_bytes
        flow.resent_bytes += resent_bytes


class CoroutineRunner:
    """Runs the daemon's coroutines that wait for nothing but themselves, from code that is not asynchronous."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Return what the coroutine returns."""
        return self._loop.run_until_complete(coroutine)

    def framed(self, encoder: FrameEncoder, message: LinkMessage) -> Framed:
        """Code a message, and return what its frames take."""
        return Framed.of(self.run(_frames(encoder, message)))

    def close(self) -> None:
        """Give back what the runner took."""
        self._loop.close()


async def _frames(encoder: FrameEncoder, message: LinkMessage) -> list[OutgoingFrame]:
    return [frame async for frame in encoder.encode(message)]
