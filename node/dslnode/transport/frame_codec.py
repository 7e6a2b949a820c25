"""What neighbours say to each other, to frames and back: keep masks are coded against what the other side holds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from dslnode.errors import PeerError
from dslnode.protocol.codec.delta import ReferenceChoice
from dslnode.protocol.codec.mask_codec import CHUNK_BYTES, Codec, CodedMask, Layouts, MaskAssembler, encode, scale_bits
from dslnode.protocol.codec.reference import MaskReferences
from dslnode.protocol.membership import MembershipUpdate
from dslnode.protocol.messages import ExchangeState, IntervalRequest, MaskKind, MaskMessage, Message, Unchanged
from dslnode.transport.encode_cache import LARGE, EncodeCache
from dslnode.transport.member_frames import members_frame, read_members
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
"""Greetings that open a link; one is due, and one for each link from which it took over while that was answered."""

LinkMessage = Message | MembershipUpdate
"""All that may wait in a link's outbox, or come out of it at the other end."""

INLINE_BYTES = CHUNK_BYTES // 2
"""Coded masks up to this length travel in their header."""


@dataclass(frozen=True)
class LinkParameters:
    """How masks are coded on a link: the codecs that both ends read, and how near a copy is near enough."""

    readable: frozenset[Codec]
    keep_masks: bool
    send_threshold: float = 0.0

    @property
    def holding(self) -> bool:
        """Whether each side says first which of the other's keep masks it holds."""
        return self.keep_masks and bool(self.readable)


@dataclass(frozen=True)
class OutgoingFrame:
    """A frame to be written, and what of it is payload."""

    frame: pb.Frame
    kind: MaskKind | None = None  # of the mask that it is a part of
    payload_bits: int = 0
    ends_mask: bool = False


class FrameEncoder:
    """Turns words into frames, in the order in which they are written."""

    def __init__(self, copies: MaskReferences, coder: EncodeCache, terms: LinkParameters) -> None:
        self._copies = copies
        self._coder = coder
        self._terms = terms
        self._counts = StepCodec()

    def holding(self) -> OutgoingFrame | None:
        """Return what to say before anything else; None if the neighbour could make no use of it."""
        if not self._terms.holding:
            return None
        held = self._copies.incoming.held
        return OutgoingFrame(pb.Frame(holding=pb.Holding(base=b"" if held is None else held.digest)))

    async def frames(self, word: LinkMessage, *, in_haste: bool = False) -> AsyncIterator[OutgoingFrame]:
        """Yield a word's frames; a keep mask is coded against what the neighbour holds once all before it is written.

        ``in_haste``, for a node that leaves, a mask that takes long to code travels plain.
        """
        match word:
            case ExchangeState():
                yield OutgoingFrame(pb.Frame(greeting=exchange_state_frame(word)))
            case Unchanged():
                yield OutgoingFrame(pb.Frame(unchanged=unchanged_frame(word)))
            case IntervalRequest():
                yield OutgoingFrame(pb.Frame(pace=pb.Pace(seconds=word.seconds)))
            case MembershipUpdate():
                yield OutgoingFrame(pb.Frame(members=members_frame(word)))
            case MaskMessage(kind=MaskKind.KEEP) if self._is_near(word):
                yield OutgoingFrame(pb.Frame(unchanged=unchanged_frame(Unchanged(word.round))))
            case MaskMessage():
                plain = in_haste and word.mask.layout.size > LARGE
                for parcel in self._mask_frames(encode(word) if plain else await self._code(word)):
                    yield parcel

    def _is_near(self, message: MaskMessage) -> bool:
        return self._terms.holding and self._copies.outgoing.is_near(message.mask, self._terms.send_threshold)

    async def _code(self, message: MaskMessage) -> CodedMask:
        if message.kind is MaskKind.SIGN or not self._terms.holding:
            return (await self._coder.code(message, self._terms.readable, ReferenceChoice.NONE, None))[0]
        coded, following = await self._coder.code(message, self._terms.readable, *self._copies.outgoing.base())
        self._copies.outgoing.sent(following)
        return coded

    def _mask_frames(self, mask: CodedMask) -> list[OutgoingFrame]:
        inline = len(mask.data) <= INLINE_BYTES
        header = pb.MaskHeader(
            round=mask.round,
            kind=pb.MaskKind.Name(mask.kind),
            codec=pb.Codec.Name(mask.codec),
            coded_bytes=len(mask.data),
            checksum=mask.checksum,
            step=None if mask.step is None else self._counts.step_frame(mask.step),
            base=pb.Base.Name(mask.base),
            data=mask.data if inline else b"",
        )
        chunks = [] if inline else list(mask.chunks())
        payload_bits = scale_bits(mask.step) + 8 * len(header.data)
        parcels = [OutgoingFrame(pb.Frame(mask=header), mask.kind, payload_bits, ends_mask=inline)]
        for number, chunk in enumerate(chunks, start=1):
            frame = pb.Frame(chunk=pb.MaskChunk(data=chunk))
            parcels.append(OutgoingFrame(frame, mask.kind, 8 * len(chunk), ends_mask=number == len(chunks)))
        return parcels


class FrameDecoder:
    """Turns frames into words. ``resumed`` says whether it is known what the neighbour holds."""

    def __init__(self, layouts: Layouts, copies: MaskReferences, terms: LinkParameters) -> None:
        self._copies = copies
        self._assembler = MaskAssembler(layouts, copies.incoming)
        self._counts = StepCodec()
        self._arriving: MaskKind | None = None
        self._openings = 0
        self.resumed = not terms.holding
        if self.resumed:
            copies.outgoing.resume(b"")

    @property
    def midway(self) -> bool:
        """Whether the neighbour has begun a mask and owes the rest."""
        return self._assembler.midway

    def hear(self, frame: pb.Frame) -> LinkMessage | None:  # noqa: PLR0911 (one kind of frame each)
        """Take a frame; return the word that it ends, if it does. Raises ``PeerError`` if it has no place here."""
        if frame.HasField("mask"):
            return self._header(frame.mask)
        if frame.HasField("chunk"):
            return self._assembler.chunk(frame.chunk.data)
        if frame.HasField("greeting"):
            return self._greeting(frame.greeting)
        if frame.HasField("pace"):
            return IntervalRequest(frame.pace.seconds)
        if frame.HasField("members"):
            return read_members(frame.members)
        if frame.HasField("unchanged"):
            return read_unchanged(frame.unchanged)
        if frame.HasField("holding") and not self.resumed:
            self._copies.outgoing.resume(read_holding(frame.holding))
            self.resumed = True
            return None
        raise PeerError("unexpected_frame", "sent a frame that has no place in a conversation")

    def _greeting(self, frame: pb.Greeting) -> ExchangeState:
        """Read a greeting. Each that opens a link may have a step made anew, so there are a few of them a link."""
        greeting = read_exchange_state(frame)
        self._openings += greeting.opening
        if self._openings > MAX_OPENINGS:
            raise PeerError("unexpected_frame", f"sent more than {MAX_OPENINGS} greetings that open a link")
        return greeting

    def payload(self, frame: pb.Frame) -> tuple[MaskKind | None, int]:
        """Return of which kind of mask a frame to be heard next is a part, None if of none, and its bits of payload."""
        if frame.HasField("mask"):
            known = int(frame.mask.kind) in set(MaskKind)
            kind = MaskKind(frame.mask.kind) if known else None
            return kind, 32 * len(frame.mask.step.scales) + 8 * len(frame.mask.data)
        if frame.HasField("chunk"):
            return self._arriving, 8 * len(frame.chunk.data)
        return None, 0

    def _header(self, header: pb.MaskHeader) -> MaskMessage | None:
        step = self._counts.read_step(header.step) if header.HasField("step") else None
        self._assembler.header(
            header.round, header.kind, header.codec, header.coded_bytes, header.checksum, step, header.base
        )
        self._arriving = MaskKind(header.kind)
        return self._assembler.chunk(header.data) if header.data else None


@dataclass(frozen=True)
class FrameCodec:
    """How one end of a link speaks and hears, and how much at most it hears; ``large`` masks are put together beside
    the event loop.
    """

    speaker: FrameEncoder
    listener: FrameDecoder
    copies: MaskReferences
    allowance: PeerRateLimit
    large: bool
