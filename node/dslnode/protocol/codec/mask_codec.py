"""Masks to bytes and back. Every bound is checked before anything is allocated.

A coded mask travels as one header and chunks of at most ``CHUNK_BYTES``. The checksum is over the decoded, packed
mask: whatever the codec and the reference, a mask that arrives is the mask that was sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

from dslnode.errors import PeerError
from dslnode.protocol.codec import delta, positions, range_coder
from dslnode.protocol.codec.delta import Reference, ReferenceChoice
from dslnode.protocol.codec.reference import IncomingReference
from dslnode.protocol.mask import Mask, MaskLayout
from dslnode.protocol.messages import MaskKind, MaskMessage, ReplicaStep

CHUNK_BYTES = 64 * 1024
SPARE_BYTES = 16
"""Bytes by which a coded mask may be longer than the packed one."""
MAX_ROUND = 2**31
CHECKSUM_BYTES = 8
MAX_SCALE = 1e3
"""Far above any scale that training reaches. A larger step would make the replica useless."""

Layouts = Mapping[MaskKind, MaskLayout]


class Codec(IntEnum):
    """How the bits of a mask are coded. The numbers are those on the wire."""

    RAW = 1  # one bit per weight, packed, least significant bit first
    SPARSE = 2  # the bits that differ from the reference, as lists of positions
    RANGE = 3  # the bits, or those that differ from the reference, by a range coder


READABLE = frozenset(Codec if range_coder.AVAILABLE else set(Codec) - {Codec.RANGE})
"""The codecs that this node can read."""


@dataclass(frozen=True, kw_only=True)
class MaskHeader:
    """The header of a mask as it arrived. ``MaskAssembler`` checks its bounds."""

    round: int
    kind: int
    codec: int
    coded_bytes: int  # length of all chunks
    checksum: bytes
    step: ReplicaStep | None = None
    reference: int = ReferenceChoice.NONE


@dataclass(frozen=True, kw_only=True)
class CodedMask:
    """A mask as it travels: the values of its header, and the coded bytes."""

    round: int
    kind: MaskKind
    codec: Codec
    checksum: bytes
    data: bytes
    step: ReplicaStep | None = None
    reference: ReferenceChoice = ReferenceChoice.LAST

    @property
    def payload_bits(self) -> int:
        """Bits of the coded mask and a sign mask's scales, without header, framing and transport."""
        return 8 * len(self.data) + scale_bits(self.step)

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes in chunks of at most ``CHUNK_BYTES``."""
        for start in range(0, len(self.data), CHUNK_BYTES):
            yield self.data[start : start + CHUNK_BYTES]


def encode(message: MaskMessage) -> CodedMask:
    """Code a mask without compression, as every receiver can read it."""
    return encode_for(frozenset(), message, ReferenceChoice.NONE, None)[0]


def encode_for(
    readable: Collection[Codec], message: MaskMessage, choice: ReferenceChoice, reference: Reference | None
) -> tuple[CodedMask, Reference]:
    """Code a mask by the best codec that the receiver can read; return also the reference that it holds afterwards."""
    packed = message.mask.to_bytes()
    codec, data, after = Codec.RAW, packed, Reference(message.mask)
    if Codec.RANGE in readable and range_coder.AVAILABLE:
        coded, coded_after = delta.encode(message.mask, reference)
        if len(coded) < len(data):
            codec, data, after = Codec.RANGE, coded, coded_after
    elif Codec.SPARSE in readable and reference is not None:
        coded = positions.encode(message.mask, reference.mask)
        if len(coded) < len(data):
            codec, data, after = Codec.SPARSE, coded, delta.next_reference(message.mask, reference)
    coded_mask = CodedMask(
        round=message.round,
        kind=message.kind,
        codec=codec,
        checksum=checksum(packed),
        data=data,
        step=message.step,
        reference=choice,
    )
    return coded_mask, after


def scale_bits(step: ReplicaStep | None) -> int:
    """Return the bits of a step's scales: 32 per layer."""
    return 0 if step is None else 32 * len(step.scales)


def checksum(packed: bytes) -> bytes:
    """Return 8 bytes of blake2b over a packed mask or a replica's bytes."""
    return hashlib.blake2b(packed, digest_size=CHECKSUM_BYTES).digest()


class MaskAssembler:
    """Puts one neighbour's headers and chunks together again.

    Raises ``PeerError`` at the first frame that breaks a rule. The link is of no use afterwards: where the next mask
    begins is unknown.
    """

    def __init__(self, layouts: Layouts, references: IncomingReference | None = None) -> None:
        self._layouts = layouts
        self._references = references or IncomingReference(None)
        self._announced: CodedMask | None = None  # the mask that is arriving, still without its bytes
        self._missing = 0  # bytes of it
        self._data = bytearray()

    def header(self, header: MaskHeader) -> None:
        """Take a header. The chunks of its mask must follow."""
        if self._announced is not None:
            raise PeerError("unexpected_header", "sent a mask header before the last mask was complete")
        self._announced = self._check_header(header)
        self._missing = header.coded_bytes

    @property
    def incomplete(self) -> bool:
        """Whether a mask has begun and lacks chunks."""
        return self._announced is not None

    def chunk(self, data: bytes) -> MaskMessage | None:
        """Take a chunk; return the message if its mask is complete now."""
        if self._announced is None:
            raise PeerError("unexpected_chunk", "sent a chunk that belongs to no mask")
        if not 0 < len(data) <= min(CHUNK_BYTES, self._missing):
            raise PeerError("chunk_size", f"sent a chunk of {len(data)} bytes where {self._missing} were missing")
        self._data += data
        self._missing -= len(data)
        if self._missing:
            return None
        coded = replace(self._announced, data=bytes(self._data))
        self._announced, self._data = None, bytearray()
        return self._complete(coded)

    def _check_header(self, header: MaskHeader) -> CodedMask:
        if header.kind not in set(MaskKind):
            raise PeerError("mask_kind", f"sent mask kind {header.kind}, which this version does not know")
        if header.codec not in READABLE or header.reference not in set(ReferenceChoice):
            raise PeerError(
                "codec", f"sent codec {header.codec} with base {header.reference}, which this node cannot read"
            )
        if header.round >= MAX_ROUND:
            raise PeerError("far_future", f"sent round {header.round}; rounds end at {MAX_ROUND}")
        kind, codec, size = MaskKind(header.kind), Codec(header.codec), header.coded_bytes
        expected = self._layouts[kind].byte_size
        if not 0 < size <= expected + SPARE_BYTES or (codec is Codec.RAW and size != expected):
            raise PeerError("mask_size", f"announced a mask of {size} bytes, the model's take {expected}")
        if len(header.checksum) != CHECKSUM_BYTES:
            raise PeerError("checksum", f"sent a checksum of {len(header.checksum)} bytes instead of {CHECKSUM_BYTES}")
        if (header.step is not None) != (kind is MaskKind.SIGN):
            raise PeerError("bad_step", "sent a sign mask without its step, or a keep mask with one")
        if header.step is not None:
            self._check_step(header.step)
        return CodedMask(
            round=header.round,
            kind=kind,
            codec=codec,
            checksum=header.checksum,
            data=b"",
            step=header.step,
            reference=ReferenceChoice(header.reference),
        )

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

    def _complete(self, coded: CodedMask) -> MaskMessage:
        try:
            mask, after = self._decode(coded, self._layouts[coded.kind])
        except ValueError as error:
            raise PeerError("mask_bits", f"sent a mask that cannot be read: {error}") from error
        self._check_checksum(coded, mask.to_bytes())
        if coded.kind is MaskKind.KEEP:
            self._references.last = after
        return MaskMessage(coded.round, coded.kind, mask, coded.step)

    def _check_checksum(self, coded: CodedMask, packed: bytes) -> None:
        if checksum(packed) != coded.checksum:
            self._references.last = None  # whatever was wrong, the next link begins without it
            raise PeerError("checksum", "sent a mask whose checksum does not match its bits")

    def _decode(self, coded: CodedMask, layout: MaskLayout) -> tuple[Mask, Reference]:
        """Return the mask, and the reference for the next one."""
        if coded.codec is Codec.RAW:
            self._check_checksum(coded, coded.data)
            mask = Mask.from_bytes(layout, coded.data)
            return mask, Reference(mask)
        reference = self._references.resolve(coded.reference) if coded.kind is MaskKind.KEEP else None
        if coded.codec is Codec.RANGE:
            return delta.decode(layout, coded.data, reference)
        mask = positions.decode(layout, coded.data, None if reference is None else reference.mask)
        return mask, delta.next_reference(mask, reference)
