"""Link messages to protobuf frames and back. Keep masks are coded against the reference that the other side holds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from dslnode.errors import PeerError
from dslnode.protocol.codec.delta import ReferenceChoice
from dslnode.protocol.codec.mask_codec import (
    CHUNK_BYTES,
    Codec,
    CodedMask,
    Layouts,
    MaskAssembler,
    MaskHeader,
    encode,
    scale_bits,
)
from dslnode.protocol.codec.reference import MaskReferences
from dslnode.protocol.membership import MembershipUpdate
from dslnode.protocol.messages import ExchangeState, IntervalRequest, MaskKind, MaskMessage, Message, Unchanged
from dslnode.transport.encode_cache import LARGE, EncodeCache
from dslnode.transport.member_frames import RecordCheck, members_frame, read_members
from dslnode.transport.rate_limit import PeerRateLimit
from dslnode.transport.step_frames import (
    StepCodec,
    exchange_state_frame,
    read_exchange_state,
    read_holding,
    read_unchanged,
    unchanged_frame,
)
from dslnode.v1 import node_pb2 as pb

MAX_OPENINGS = 8
"""Opening greetings per link. One is due, and one more per earlier link that this one replaced while it opened."""

LinkMessage = Message | MembershipUpdate
"""A message that may wait in a link's outbox or arrive over it."""

INLINE_BYTES = CHUNK_BYTES // 2
"""Coded masks up to this length travel in their header."""


@dataclass(frozen=True)
class LinkParameters:
    """How masks are coded on a link, as the two hellos decide."""

    readable: frozenset[Codec]  # codecs that both sides can read, RAW apart
    keep_masks: bool  # whether the run exchanges keep masks
    send_threshold: float = 0.0  # part of the learned changes below which a keep mask is not sent

    @property
    def announces_references(self) -> bool:
        """Whether each side first sends the digest of the reference that it holds."""
        return self.keep_masks and bool(self.readable)


@dataclass(frozen=True)
class OutgoingFrame:
    """A frame to write, and which part of it is payload."""

    frame: pb.Frame
    kind: MaskKind | None = None  # of the mask that it is a part of
    payload_bits: int = 0
    ends_mask: bool = False


class FrameEncoder:
    """Turns messages into frames, in the order in which they are written."""

    def __init__(self, references: MaskReferences, cache: EncodeCache, parameters: LinkParameters) -> None:
        self._references = references
        self._cache = cache
        self._parameters = parameters
        self._steps = StepCodec()

    def holding_frame(self) -> OutgoingFrame | None:
        """Return the frame with the digest of the reference held; None if the neighbour could make no use of it."""
        if not self._parameters.announces_references:
            return None
        last = self._references.incoming.last
        return OutgoingFrame(pb.Frame(holding=pb.Holding(base=b"" if last is None else last.digest)))

    async def encode(self, message: LinkMessage, *, leaving: bool = False) -> AsyncIterator[OutgoingFrame]:
        """Yield the frames of a message. Every earlier one must have been written: references depend on the order.

        With ``leaving``, large masks are not compressed: that would take longer than the goodbye.
        """
        match message:
            case ExchangeState():
                yield OutgoingFrame(pb.Frame(greeting=exchange_state_frame(message)))
            case Unchanged():
                yield OutgoingFrame(pb.Frame(unchanged=unchanged_frame(message)))
            case IntervalRequest():
                yield OutgoingFrame(pb.Frame(pace=pb.Pace(seconds=message.seconds)))
            case MembershipUpdate():
                yield OutgoingFrame(pb.Frame(members=members_frame(message)))
            case MaskMessage(kind=MaskKind.KEEP) if self._is_close(message):
                yield OutgoingFrame(pb.Frame(unchanged=unchanged_frame(Unchanged(message.round))))
            case MaskMessage():
                uncompressed = leaving and message.mask.layout.size > LARGE
                for frame in self._mask_frames(encode(message) if uncompressed else await self._code(message)):
                    yield frame

    def _is_close(self, message: MaskMessage) -> bool:
        parameters = self._parameters
        outgoing = self._references.outgoing
        return parameters.announces_references and outgoing.is_close(message.mask, parameters.send_threshold)

    async def _code(self, message: MaskMessage) -> CodedMask:
        readable = self._parameters.readable
        if message.kind is MaskKind.SIGN or not self._parameters.announces_references:
            return (await self._cache.encode(message, readable, ReferenceChoice.NONE, None))[0]
        coded, after = await self._cache.encode(message, readable, *self._references.outgoing.choose())
        self._references.outgoing.mask_sent(after)
        return coded

    def _mask_frames(self, mask: CodedMask) -> list[OutgoingFrame]:
        inline = len(mask.data) <= INLINE_BYTES
        header = pb.MaskHeader(
            round=mask.round,
            kind=pb.MaskKind.Name(mask.kind),
            codec=pb.Codec.Name(mask.codec),
            coded_bytes=len(mask.data),
            checksum=mask.checksum,
            step=None if mask.step is None else self._steps.step_frame(mask.step),
            base=pb.Base.Name(mask.reference),
            data=mask.data if inline else b"",
        )
        chunks = [] if inline else list(mask.chunks())
        payload_bits = scale_bits(mask.step) + 8 * len(header.data)
        frames = [OutgoingFrame(pb.Frame(mask=header), mask.kind, payload_bits, ends_mask=inline)]
        for number, chunk in enumerate(chunks, start=1):
            frame = pb.Frame(chunk=pb.MaskChunk(data=chunk))
            frames.append(OutgoingFrame(frame, mask.kind, 8 * len(chunk), ends_mask=number == len(chunks)))
        return frames


class FrameDecoder:
    """Turns frames into messages. ``resumed``: it is known which of this node's masks the neighbour holds."""

    def __init__(
        self,
        layouts: Layouts,
        references: MaskReferences,
        parameters: LinkParameters,
        check_record: RecordCheck | None = None,
    ) -> None:
        self._check_record = check_record
        self._references = references
        self._assembler = MaskAssembler(layouts, references.incoming)
        self._steps = StepCodec()
        self._arriving: MaskKind | None = None
        self._openings = 0
        self.resumed = not parameters.announces_references
        if self.resumed:
            references.outgoing.resume(b"")

    @property
    def mask_incomplete(self) -> bool:
        """Whether a mask has begun and lacks chunks."""
        return self._assembler.incomplete

    def decode(self, frame: pb.Frame) -> LinkMessage | None:  # noqa: PLR0911 (one per kind of frame)
        """Take a frame; return the message that it completes, if it does. Raises ``PeerError`` if it breaks a rule."""
        if frame.HasField("mask"):
            return self._decode_header(frame.mask)
        if frame.HasField("chunk"):
            return self._assembler.chunk(frame.chunk.data)
        if frame.HasField("greeting"):
            return self._decode_greeting(frame.greeting)
        if frame.HasField("pace"):
            return IntervalRequest(frame.pace.seconds)
        if frame.HasField("members"):
            return read_members(frame.members, self._check_record)
        if frame.HasField("unchanged"):
            return read_unchanged(frame.unchanged)
        if frame.HasField("holding") and not self.resumed:
            self._references.outgoing.resume(read_holding(frame.holding))
            self.resumed = True
            return None
        raise PeerError("unexpected_frame", "sent a frame that has no place in a conversation")

    def payload(self, frame: pb.Frame) -> tuple[MaskKind | None, int]:
        """Return the kind of the mask that a frame is a part of, None if of none, and its payload bits.

        To be called before the frame is decoded.
        """
        if frame.HasField("mask"):
            is_known = int(frame.mask.kind) in set(MaskKind)
            kind = MaskKind(frame.mask.kind) if is_known else None
            return kind, 32 * len(frame.mask.step.scales) + 8 * len(frame.mask.data)
        if frame.HasField("chunk"):
            return self._arriving, 8 * len(frame.chunk.data)
        return None, 0

    def _decode_greeting(self, frame: pb.Greeting) -> ExchangeState:
        """Return the state. Each opening one may have steps sent again, so their number is bounded."""
        state = read_exchange_state(frame)
        self._openings += state.opening
        if self._openings > MAX_OPENINGS:
            raise PeerError("unexpected_frame", f"sent more than {MAX_OPENINGS} greetings that open a link")
        return state

    def _decode_header(self, frame: pb.MaskHeader) -> MaskMessage | None:
        header = self._header_from_proto(frame)
        self._assembler.header(header)
        self._arriving = MaskKind(header.kind)
        return self._assembler.chunk(frame.data) if frame.data else None

    def _header_from_proto(self, frame: pb.MaskHeader) -> MaskHeader:
        return MaskHeader(
            round=frame.round,
            kind=frame.kind,
            codec=frame.codec,
            coded_bytes=frame.coded_bytes,
            checksum=frame.checksum,
            step=self._steps.read_step(frame.step) if frame.HasField("step") else None,
            reference=frame.base,
        )


@dataclass(frozen=True, kw_only=True)
class FrameCodec:
    """Both directions of one end of a link, and the limit on what it reads."""

    encoder: FrameEncoder
    decoder: FrameDecoder
    references: MaskReferences
    rate_limit: PeerRateLimit
    large: bool  # decoding takes long enough to need a thread of its own
