"""The codec: what is encoded comes back bit for bit, and no hostile sequence of frames does more than a PeerError."""

from __future__ import annotations

import contextlib
import itertools
import math
import random
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from bitarray import frozenbitarray
from hypothesis import given, settings
from hypothesis import strategies as st

from dslnode.errors import PeerError
from dslnode.protocol.codec.mask_codec import (
    CHECKSUM_BYTES,
    CHUNK_BYTES,
    MAX_ROUND,
    MAX_SCALE,
    Codec,
    CodedMask,
    MaskAssembler,
    MaskHeader,
    checksum,
    encode,
)
from dslnode.protocol.mask import Mask, MaskLayer, MaskLayout
from dslnode.protocol.messages import MaskKind, MaskMessage, ReplicaStep

LAYOUT = MaskLayout((MaskLayer("only", (3, 7)),))
"""21 weights: 3 bytes, of which the last has 3 padding bits."""
LARGE = MaskLayout((MaskLayer("large", (2 * 8 * CHUNK_BYTES + 9,)),))
"""Two full chunks and one of two bytes, the last with 7 padding bits."""
ABSURD = 2**32 - 1

rounds = st.integers(0, MAX_ROUND - 1)
kinds = st.sampled_from(MaskKind)

STEP = ReplicaStep(epoch=1, sequence=5, acknowledged=4, scales=(0.5,), counts=(3,), checksum=bytes(8))


def header_of(round_number: int, kind: int, codec: int, coded_bytes: int, check: bytes) -> MaskHeader:
    return MaskHeader(round=round_number, kind=kind, codec=codec, coded_bytes=coded_bytes, checksum=check)


def both(layout: MaskLayout) -> dict[MaskKind, MaskLayout]:
    """Return the layouts of a model whose weights all have a score of their own."""
    return dict.fromkeys(MaskKind, layout)


def layout_of(size: int) -> MaskLayout:
    return MaskLayout((MaskLayer("only", (size,)),))


def mask_over(layout: MaskLayout, seed: int) -> Mask:
    """Return a random mask that depends on the seed only."""
    bits = frozenbitarray(buffer=random.Random(seed).randbytes(layout.byte_size), endian="little")
    return Mask(layout, bits[: layout.size])


def assemble(assembler: MaskAssembler, coded: CodedMask, chunks: Iterable[bytes]) -> MaskMessage | None:
    """Feed a header and chunks; no chunk but the last may complete the message."""
    assembler.header(
        MaskHeader(
            round=coded.round,
            kind=coded.kind,
            codec=coded.codec,
            coded_bytes=len(coded.data),
            checksum=coded.checksum,
            step=coded.step,
        )
    )
    message = None
    for chunk in chunks:
        assert message is None
        message = assembler.chunk(chunk)
    return message


def begun(layout: MaskLayout = LAYOUT) -> MaskAssembler:
    """Return an assembler that has taken the header of an all-zero mask."""
    assembler = MaskAssembler(both(layout))
    assembler.header(
        MaskHeader(
            round=0,
            kind=MaskKind.KEEP,
            codec=Codec.RAW,
            coded_bytes=layout.byte_size,
            checksum=checksum(bytes(layout.byte_size)),
        )
    )
    return assembler


@given(st.integers(1, 2_000), st.integers(0, 2**32), rounds, kinds)
def test_any_mask_of_any_size_comes_back_as_it_was(size: int, seed: int, round_number: int, kind: MaskKind) -> None:
    layout = layout_of(size)
    step = replace(STEP, counts=(size,)) if kind is MaskKind.SIGN else None
    message = MaskMessage(round_number, kind, mask_over(layout, seed), step)
    coded = encode(message)
    assert assemble(MaskAssembler(both(layout)), coded, coded.chunks()) == message


@settings(max_examples=30, deadline=None)
@given(st.integers(-17, 17), st.integers(1, 3), st.integers(0, 2**32))
def test_sizes_around_the_chunk_bounds_come_back_as_they_were(offset: int, chunks: int, seed: int) -> None:
    layout = layout_of(8 * CHUNK_BYTES * chunks + offset)
    coded = encode(MaskMessage(1, MaskKind.KEEP, mask_over(layout, seed)))
    pieces = list(coded.chunks())
    assert [len(piece) for piece in pieces[:-1]] == [CHUNK_BYTES] * (len(pieces) - 1)
    assert 0 < len(pieces[-1]) <= CHUNK_BYTES
    assert len(pieces) == chunks + (offset > 0)
    message = assemble(MaskAssembler(both(layout)), coded, pieces)
    assert message is not None
    assert message.mask == mask_over(layout, seed)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, LARGE.byte_size - 1), max_size=20), st.integers(0, 2**32))
def test_a_sender_may_cut_its_mask_wherever_it_likes(cuts: list[int], seed: int) -> None:
    coded = encode(MaskMessage(1, MaskKind.KEEP, mask_over(LARGE, seed)))
    bounds = sorted({0, *cuts, CHUNK_BYTES, 2 * CHUNK_BYTES, LARGE.byte_size})
    message = assemble(MaskAssembler(both(LARGE)), coded, (coded.data[a:b] for a, b in itertools.pairwise(bounds)))
    assert message is not None
    assert message.mask == mask_over(LARGE, seed)


@given(st.lists(st.tuples(rounds, st.integers(0, 2**32)), min_size=2, max_size=5))
def test_an_assembler_takes_one_mask_after_the_other(sent: list[tuple[int, int]]) -> None:
    assembler = MaskAssembler(both(LAYOUT))
    for round_number, seed in sent:
        message = MaskMessage(round_number, MaskKind.KEEP, mask_over(LAYOUT, seed))
        assert assemble(assembler, encode(message), encode(message).chunks()) == message


@given(st.integers(1, 5_000))
def test_the_payload_is_one_bit_a_weight_rounded_up_to_bytes(size: int) -> None:
    coded = encode(MaskMessage(0, MaskKind.KEEP, mask_over(layout_of(size), 1)))
    assert size <= coded.payload_bits < size + 8
    assert coded.payload_bits == 8 * sum(len(chunk) for chunk in coded.chunks())
    assert len(coded.checksum) == CHECKSUM_BYTES


@pytest.mark.parametrize(
    ("reason", "header"),
    [
        ("mask_kind", (0, 0, 1, 3, bytes(8))),
        ("mask_kind", (0, 3, 1, 3, bytes(8))),
        ("mask_kind", (0, -1, 1, 3, bytes(8))),
        ("codec", (0, 1, 0, 3, bytes(8))),
        ("codec", (0, 1, 4, 3, bytes(8))),
        ("codec", (0, 1, -(2**31), 3, bytes(8))),
        ("mask_size", (0, 1, 1, 0, bytes(8))),
        ("mask_size", (0, 1, 1, 2, bytes(8))),
        ("mask_size", (0, 1, 1, 4, bytes(8))),
        ("mask_size", (0, 1, 1, ABSURD, bytes(8))),
        ("checksum", (0, 1, 1, 3, b"")),
        ("checksum", (0, 1, 1, 3, bytes(7))),
        ("checksum", (0, 1, 1, 3, bytes(9))),
        ("far_future", (MAX_ROUND, 1, 1, 3, bytes(8))),
        ("far_future", (2**32 - 1, 1, 1, 3, bytes(8))),
    ],
)
def test_a_header_out_of_bounds_is_refused(reason: str, header: tuple[int, int, int, int, bytes]) -> None:
    assembler = MaskAssembler(both(LAYOUT))
    with pytest.raises(PeerError) as refused:
        assembler.header(header_of(*header))
    assert refused.value.reason == reason
    with pytest.raises(PeerError, match="belongs to no mask"):
        assembler.chunk(bytes(3))


def test_the_last_round_is_still_taken() -> None:
    MaskAssembler(both(LAYOUT)).header(
        MaskHeader(round=MAX_ROUND - 1, kind=MaskKind.KEEP, codec=Codec.RAW, coded_bytes=3, checksum=bytes(8))
    )


def refusal_of(act: Callable[[], object]) -> str:
    """Return the reason for which an act is refused."""
    with pytest.raises(PeerError) as refused:
        act()
    return refused.value.reason


def test_a_chunk_without_a_header_is_refused() -> None:
    assert refusal_of(lambda: MaskAssembler(both(LAYOUT)).chunk(b"x")) == "unexpected_chunk"


def test_a_chunk_after_the_mask_is_complete_is_refused() -> None:
    assembler = begun()
    assert assembler.chunk(bytes(3)) is not None
    assert refusal_of(lambda: assembler.chunk(b"x")) == "unexpected_chunk"


@pytest.mark.parametrize("missing", [3, 1])
def test_a_header_before_the_last_mask_is_complete_is_refused(missing: int) -> None:
    assembler = begun()
    if missing < 3:
        assembler.chunk(bytes(3 - missing))
    assert (
        refusal_of(lambda: assembler.header(MaskHeader(round=1, kind=1, codec=1, coded_bytes=3, checksum=bytes(8))))
        == "unexpected_header"
    )


@pytest.mark.parametrize(
    ("layout", "before", "size"),
    [
        (LAYOUT, 0, 0),
        (LAYOUT, 0, 4),
        (LAYOUT, 2, 2),
        (LARGE, 0, 0),
        (LARGE, 0, CHUNK_BYTES + 1),
        (LARGE, CHUNK_BYTES, CHUNK_BYTES + 1),
    ],
)
def test_a_chunk_of_a_wrong_size_is_refused(layout: MaskLayout, before: int, size: int) -> None:
    assembler = begun(layout)
    if before:
        assembler.chunk(bytes(before))
    assert refusal_of(lambda: assembler.chunk(bytes(size))) == "chunk_size"


@given(st.integers(0, LAYOUT.size - 1))
def test_one_flipped_bit_does_not_pass_the_checksum(position: int) -> None:
    changed = (1 << position).to_bytes(3, "little")
    assert refusal_of(lambda: begun().chunk(changed)) == "checksum"


@given(st.integers(1, 7))
def test_a_padding_bit_is_refused_although_the_checksum_fits(padding: int) -> None:
    packed = bytes([0, 0, padding << 5])
    assembler = MaskAssembler(both(LAYOUT))
    assembler.header(MaskHeader(round=0, kind=1, codec=1, coded_bytes=3, checksum=checksum(packed)))
    assert refusal_of(lambda: assembler.chunk(packed)) == "mask_bits"


def test_a_lie_about_the_size_costs_no_memory() -> None:
    assembler = MaskAssembler(both(LARGE))
    assert (
        peak_of(lambda: assembler.header(MaskHeader(round=0, kind=1, codec=1, coded_bytes=ABSURD, checksum=bytes(8))))
        < 20_000
    )


def test_a_header_alone_reserves_nothing() -> None:
    assert (
        peak_of(
            lambda: MaskAssembler(both(LARGE)).header(
                MaskHeader(round=0, kind=1, codec=1, coded_bytes=LARGE.byte_size, checksum=bytes(8))
            )
        )
        < 20_000
    )


@pytest.mark.parametrize("size", [2, 1_000, CHUNK_BYTES])
def test_chunks_of_any_size_cost_about_the_memory_of_the_mask(size: int) -> None:
    chunks = [bytes(min(size, LARGE.byte_size - start)) for start in range(0, LARGE.byte_size, size)][:-1]

    def feed() -> None:
        assembler = begun(LARGE)
        for chunk in chunks:
            assembler.chunk(bytes(bytearray(chunk)))

    assert peak_of(feed) < 2.5 * LARGE.byte_size


def peak_of(act: Callable[[], object]) -> int:
    """Return how many bytes an act allocates at most; a refusal is fine."""
    tracemalloc.start()
    try:
        with contextlib.suppress(PeerError):
            act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


numbers = st.one_of(st.integers(-(2**31), 2**32), st.integers(-1, 4))
headers = st.tuples(
    st.integers(0, 2**32 - 1), numbers, numbers, numbers, st.one_of(st.binary(max_size=10), st.just(checksum(bytes(3))))
)
honest_headers = st.just((0, 1, 1, 3, checksum(bytes(3))))
zeros = st.integers(0, 5).map(bytes)


@settings(max_examples=300)
@given(st.lists(st.one_of(headers, honest_headers, st.binary(max_size=5), zeros), max_size=12))
def test_any_sequence_of_frames_gives_right_masks_or_peer_errors(
    frames: list[tuple[int, int, int, int, bytes] | bytes],
) -> None:
    assembler = MaskAssembler(both(LAYOUT))
    with contextlib.suppress(PeerError):
        for frame in frames:
            if isinstance(frame, bytes):
                message = assembler.chunk(frame)
                assert message is None or message.mask == Mask.from_bytes(LAYOUT, bytes(3))
            else:
                assembler.header(header_of(*frame))


def test_a_sign_mask_has_the_layout_of_the_scores_and_keeps_its_step() -> None:
    scores = MaskLayout((MaskLayer("only", (9,)),))
    assembler = MaskAssembler({MaskKind.KEEP: LAYOUT, MaskKind.SIGN: scores})
    message = MaskMessage(3, MaskKind.SIGN, mask_over(scores, 1), STEP)
    coded = encode(message)
    assembler.header(
        MaskHeader(
            round=coded.round,
            kind=coded.kind,
            codec=coded.codec,
            coded_bytes=len(coded.data),
            checksum=coded.checksum,
            step=coded.step,
        )
    )
    assert [assembler.chunk(part) for part in coded.chunks()] == [message]
    assert coded.payload_bits == 16 + 32


@pytest.mark.parametrize(
    "step",
    [
        None,
        replace(STEP, scales=()),
        replace(STEP, scales=(0.1, 0.1)),
        replace(STEP, scales=(math.nan,)),
        replace(STEP, scales=(math.inf,)),
        replace(STEP, scales=(-0.1,)),
        replace(STEP, scales=(MAX_SCALE * 2,)),
        replace(STEP, counts=()),
        replace(STEP, counts=(LAYOUT.size + 1,)),
        replace(STEP, epoch=MAX_ROUND),
        replace(STEP, sequence=MAX_ROUND),
        replace(STEP, acknowledged=MAX_ROUND),
        replace(STEP, checksum=bytes(7)),
    ],
)
def test_a_step_out_of_bounds_is_refused(step: ReplicaStep | None) -> None:
    assembler = MaskAssembler(both(LAYOUT))
    assert (
        refusal_of(
            lambda: assembler.header(
                MaskHeader(round=0, kind=2, codec=1, coded_bytes=LAYOUT.byte_size, checksum=bytes(8), step=step)
            )
        )
        == "bad_step"
    )


def test_a_keep_mask_has_no_step() -> None:
    assembler = MaskAssembler(both(LAYOUT))
    assert (
        refusal_of(
            lambda: assembler.header(
                MaskHeader(round=0, kind=1, codec=1, coded_bytes=LAYOUT.byte_size, checksum=bytes(8), step=STEP)
            )
        )
        == "bad_step"
    )
