"""A mask to bytes and back, with every bound checked before anything is allocated.

Coded masks travel as one header and chunks of at most ``CHUNK_BYTES``. The checksum is over the decoded, packed
mask, so whatever the codec and the base, a mask that arrives is the mask that was sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from dslnode.errors import PeerError
from dslnode.protocol.codec import delta, positions, range_coder
from dslnode.protocol.codec.delta import Reference, ReferenceChoice
from dslnode.protocol.codec.reference import IncomingReference
from dslnode.protocol.mask import Mask, MaskLayout
from dslnode.protocol.messages import MaskKind, MaskMessage, ReplicaStep

CHUNK_BYTES = 64 * 1024
SPARE_BYTES = 16
"""How much longer than the packed mask coded bytes may be."""
MAX_ROUND = 2**31
CHECKSUM_BYTES = 8
MAX_SCALE = 1e3
"""Far above any scale of scores that training reaches; a replica that such a step moved would be useless."""

Layouts = Mapping[MaskKind, MaskLayout]


class Codec(IntEnum):
    """How the bits of a mask are coded; the numbers are those of the wire."""

    RAW = 1  # one bit a weight, packed, least significant bit first
    SPARSE = 2  # the bits that differ from the base, as lists of positions
    RANGE = 3  # bits, or those that differ from the base, by a range coder


READABLE = frozenset(Codec if range_coder.AVAILABLE else set(Codec) - {Codec.RANGE})
"""What this node can read."""


@dataclass(frozen=True)
class CodedMask:
    """A mask ready to travel: what its header says, and its bytes."""

    round: int
    kind: MaskKind
    codec: Codec
    checksum: bytes
    data: bytes
    step: ReplicaStep | None = None
    base: ReferenceChoice = ReferenceChoice.LAST

    @property
    def payload_bits(self) -> int:
        """Bits that carry the mask itself and a sign mask's scales, without header, framing or transport."""
        return 8 * len(self.data) + scale_bits(self.step)

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes in pieces of at most ``CHUNK_BYTES``."""
        for start in range(0, len(self.data), CHUNK_BYTES):
            yield self.data[start : start + CHUNK_BYTES]


def encode(message: MaskMessage) -> CodedMask:
    """Code a mask for a receiver that can read plain masks only."""
    return encode_for(frozenset(), message, ReferenceChoice.NONE, None)[0]


def encode_for(
    readable: Collection[Codec], message: MaskMessage, choice: ReferenceChoice, base: Reference | None
) -> tuple[CodedMask, Reference]:
    """Code a mask by the best codec that the receiver can read; return also what it holds then as a base."""
    packed = message.mask.to_bytes()
    codec, data, following = Codec.RAW, packed, Reference(message.mask)
    if Codec.RANGE in readable and range_coder.AVAILABLE:
        coded, levels = delta.encode(message.mask, base)
        if len(coded) < len(data):
            codec, data, following = Codec.RANGE, coded, levels
    elif Codec.SPARSE in readable and base is not None:
        coded = positions.encode(message.mask, base.mask)
        if len(coded) < len(data):
            codec, data, following = Codec.SPARSE, coded, delta.next_reference(message.mask, base)
    return CodedMask(message.round, message.kind, codec, checksum(packed), data, message.step, choice), following


def scale_bits(step: ReplicaStep | None) -> int:
    """Return the bits of a step's scales: 32 a layer."""
    return 0 if step is None else 32 * len(step.scales)


def checksum(packed: bytes) -> bytes:
    """Return 8 bytes of blake2b over a packed mask, or over the bytes of a replica."""
    return hashlib.blake2b(packed, digest_size=CHECKSUM_BYTES).digest()


class MaskAssembler:
    """Puts one neighbour's header and chunks together again.

    Raises ``PeerError`` at the first frame that breaks the rules; the link is then of no more use, because what
    follows cannot be told apart.
    """

    def __init__(self, layouts: Layouts, bases: IncomingReference | None = None) -> None:
        self._layouts = layouts
        self._bases = bases or IncomingReference(None)
        self._header: CodedMask | None = None
        self._expected = 0
        self._packed = bytearray()

    def header(  # noqa: PLR0917 (the header's fields)
        self,
        round_number: int,
        kind: int,
        codec: int,
        coded_bytes: int,
        check: bytes,
        step: ReplicaStep | None = None,
        base: int = ReferenceChoice.NONE,
    ) -> None:
        """Take a header; the chunks of its mask must follow."""
        if self._header is not None:
            raise PeerError("unexpected_header", "sent a mask header before the last mask was complete")
        if kind not in set(MaskKind):
            raise PeerError("mask_kind", f"sent mask kind {kind}, which this version does not know")
        if codec not in READABLE or base not in set(ReferenceChoice):
            raise PeerError("codec", f"sent codec {codec} with base {base}, which this node cannot read")
        if round_number >= MAX_ROUND:
            raise PeerError("far_future", f"sent round {round_number}; rounds end at {MAX_ROUND}")
        expected = self._layouts[MaskKind(kind)].byte_size
        if not 0 < coded_bytes <= expected + SPARE_BYTES or (codec == Codec.RAW and coded_bytes != expected):
            raise PeerError("mask_size", f"announced a mask of {coded_bytes} bytes, the model's take {expected}")
        if len(check) != CHECKSUM_BYTES:
            raise PeerError("checksum", f"sent a checksum of {len(check)} bytes instead of {CHECKSUM_BYTES}")
        if (step is not None) != (kind == MaskKind.SIGN):
            raise PeerError("bad_step", "sent a sign mask without its step, or a keep mask with one")
        if step is not None:
            self._check_step(step)
        self._header = CodedMask(round_number, MaskKind(kind), Codec(codec), check, b"", step, ReferenceChoice(base))
        self._expected = coded_bytes

    @property
    def midway(self) -> bool:
        """Whether a mask has begun and lacks chunks."""
        return self._header is not None

    def chunk(self, data: bytes) -> MaskMessage | None:
        """Take a chunk; return the message if it is complete now."""
        if self._header is None:
            raise PeerError("unexpected_chunk", "sent a chunk that belongs to no mask")
        if not 0 < len(data) <= min(CHUNK_BYTES, self._expected):
            raise PeerError("chunk_size", f"sent a chunk of {len(data)} bytes where {self._expected} were missing")
        self._packed += data
        self._expected -= len(data)
        return None if self._expected else self._complete(self._header)

    def _check_step(self, step: ReplicaStep) -> None:
        layers = self._layouts[MaskKind.KEEP].layers
        if len(step.scales) != len(layers) or len(step.counts) != len(layers):
            raise PeerError("bad_step", f"sent {len(step.scales)} scales and {len(step.counts)} keep counts")
        if not all(0 <= scale <= MAX_SCALE for scale in step.scales):  # not a number fails, too
            raise PeerError("bad_step", f"sent a scale that is not from 0 to {MAX_SCALE:g}")
        if any(count > layer.size for count, layer in zip(step.counts, layers, strict=True)):
            raise PeerError("bad_step", "says that it keeps more weights than a layer has")
        if max(step.epoch, step.sequence, step.acknowledged) >= MAX_ROUND or len(step.checksum) != CHECKSUM_BYTES:
            raise PeerError("bad_step", "sent a step whose numbers or checksum are out of bounds")

    def _complete(self, header: CodedMask) -> MaskMessage:
        data = bytes(self._packed)
        self._header, self._packed = None, bytearray()
        layout = self._layouts[header.kind]
        try:
            mask, following = self._decode(header, layout, data)
        except ValueError as error:
            raise PeerError("mask_bits", f"sent a mask that cannot be read: {error}") from error
        self._check(header, mask.to_bytes())
        if header.kind is MaskKind.KEEP:
            self._bases.held = following
        return MaskMessage(header.round, header.kind, mask, header.step)

    def _check(self, header: CodedMask, packed: bytes) -> None:
        if checksum(packed) != header.checksum:
            self._bases.held = None  # whatever was wrong, the next link begins without it
            raise PeerError("checksum", "sent a mask whose checksum does not match its bits")

    def _decode(self, header: CodedMask, layout: MaskLayout, data: bytes) -> tuple[Mask, Reference]:
        if header.codec is Codec.RAW:
            self._check(header, data)
            mask = Mask.from_bytes(layout, data)
            return mask, Reference(mask)
        base = self._bases.base(header.base) if header.kind is MaskKind.KEEP else None
        if header.codec is Codec.RANGE:
            return delta.decode(layout, data, base)
        mask = positions.decode(layout, data, None if base is None else base.mask)
        return mask, delta.next_reference(mask, base)
