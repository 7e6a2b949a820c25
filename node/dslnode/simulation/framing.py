"""What messages take on the wire: coded and framed by the daemon's own encoder, and counted as the daemon counts."""

from __future__ import annotations

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


def result_of(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Return what a coroutine of the daemon returns. It must have nothing to wait for: time is virtual here."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    coroutine.close()
    raise RuntimeError("a coroutine waits, which nothing in virtual time may do")


def framed(encoder: FrameEncoder, message: LinkMessage) -> Framed:
    """Code a message, and return what its frames take."""
    return Framed.of(result_of(_frames(encoder, message)))


async def _frames(encoder: FrameEncoder, message: LinkMessage) -> list[OutgoingFrame]:
    return [frame async for frame in encoder.encode(message)]
