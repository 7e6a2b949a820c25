"""Masks against a base: what is coded comes back, both ends go on alike, and the bytes are the same everywhere."""

from __future__ import annotations

import contextlib
import hashlib
import math
import random
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dslnode.errors import PeerError
from dslnode.protocol.codec import delta, positions, range_coder
from dslnode.protocol.codec.delta import Reference, ReferenceChoice
from dslnode.protocol.codec.mask_codec import SPARE_BYTES, Codec, CodedMask, MaskAssembler, MaskHeader, encode_for
from dslnode.protocol.codec.reference import REMEMBERED, IncomingReference, MaskReferences, OutgoingReferences
from dslnode.protocol.mask import Mask, MaskLayer, MaskLayout
from dslnode.protocol.messages import MaskKind, MaskMessage

LAYOUT = MaskLayout((MaskLayer("first", (11, 7)), MaskLayer("none", (0,)), MaskLayer("last", (300,))))
LARGE = MaskLayout((MaskLayer("large", (200_000,)), MaskLayer("small", (101,))))
ALL = frozenset(Codec)
READERS = st.sampled_from([ALL, frozenset({Codec.SPARSE}), frozenset[Codec]()])


def drawn(layout: MaskLayout, seed: int, density: float = 0.3) -> Mask:
    bits = np.random.default_rng(seed).random(layout.size) < density
    return Mask.from_bytes(layout, np.packbits(bits, bitorder="little").tobytes())


def flipped(mask: Mask, seed: int, share: float) -> Mask:
    return Mask(mask.layout, mask.bits ^ drawn(mask.layout, seed, share).bits)


def sequence(layout: MaskLayout, count: int, share: float) -> list[Mask]:
    masks = [drawn(layout, 0)]
    for number in range(1, count):
        masks.append(flipped(masks[-1], number, share))
    return masks


def message(mask: Mask, number: int = 0) -> MaskMessage:
    return MaskMessage(number, MaskKind.KEEP, mask)


def read(incoming: IncomingReference, coded: CodedMask) -> Mask:
    """Put a coded mask together again as a receiver does."""
    layouts = dict.fromkeys(MaskKind, incoming.start.mask.layout if incoming.start else LAYOUT)
    assembler = MaskAssembler(layouts, incoming)
    assembler.header(
        MaskHeader(
            round=coded.round,
            kind=coded.kind,
            codec=coded.codec,
            coded_bytes=len(coded.data),
            checksum=coded.checksum,
            step=None,
            reference=coded.reference,
        )
    )
    found = [assembler.chunk(part) for part in coded.chunks()][-1]
    assert found is not None
    return found.mask


shares = st.sampled_from([0.0, 0.001, 0.01, 0.1, 0.5, 0.9, 1.0])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**32), shares), min_size=1, max_size=8), st.booleans())
def test_both_ends_of_an_edge_go_on_alike(steps: list[tuple[int, float]], known: bool) -> None:
    mask = drawn(LAYOUT, 1)
    here = there = Reference(mask) if known else None
    for seed, share in steps:
        mask = flipped(mask, seed, share)
        data, here = delta.encode(mask, here)
        found, there = delta.decode(LAYOUT, data, there)
        assert found == mask
        assert here.digest == there.digest


@settings(deadline=None)
@given(st.integers(0, 2**32), st.floats(0, 1), st.floats(0, 1), READERS)
def test_no_mask_takes_more_than_its_plain_bits(
    seed: int, density: float, share: float, readable: frozenset[Codec]
) -> None:
    base = drawn(LAYOUT, seed, density)
    mask = flipped(base, seed + 1, share)
    for choice, held in ((ReferenceChoice.NONE, None), (ReferenceChoice.START, Reference(base))):
        coded, _ = encode_for(readable, message(mask), choice, held)
        assert len(coded.data) <= LAYOUT.byte_size
        incoming = IncomingReference(Reference(base), same_start=True)
        coded = CodedMask(
            round=0,
            kind=MaskKind.KEEP,
            codec=coded.codec,
            checksum=coded.checksum,
            data=coded.data,
            step=None,
            reference=choice,
        )
        assert read(incoming, coded) == mask


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1])
def test_flips_take_hardly_more_than_their_entropy(share: float) -> None:
    masks = sequence(LARGE, 6, share)
    base, spent, floor = Reference(masks[0]), 0, 0.0
    for mask in masks[1:]:
        spent += 8 * len(delta.encode(mask, base)[0])
        floor += conditional_entropy(mask, base.mask)
        base = delta.encode(mask, base)[1]
    assert spent <= 1.02 * floor


def conditional_entropy(mask: Mask, base: Mask) -> float:
    """Return the bits that an ideal coder needs which knows how often bits of each layer and value flip."""
    flips, total = mask.bits ^ base.bits, 0.0
    for _, span in mask.layout.spans():
        for value in (base.bits[span], ~base.bits[span]):
            size, ones = value.count(), (flips[span] & value).count()
            for part in (ones, size - ones):
                total -= part * math.log2(part / size) if part else 0
    return total


def test_flips_that_return_cost_less() -> None:
    """What flipped lately flips again: the classes pay."""
    mask, other = drawn(LARGE, 1), flipped(drawn(LARGE, 1), 2, 0.01)
    base = Reference(mask)
    sizes = []
    for turn in range(6):
        data, base = delta.encode((other, mask)[turn % 2], base)
        sizes.append(len(data))
    assert sizes[-1] < sizes[0] / 10


@pytest.mark.skipif(not range_coder.AVAILABLE, reason="constriction has no build for this processor")
def test_the_bytes_are_the_same_everywhere() -> None:
    """A golden digest: no board may choose or write otherwise."""
    found, base = hashlib.blake2b(digest_size=16), None
    for mask in sequence(LARGE, 5, 0.004):
        data, base = delta.encode(mask, base)
        found.update(data)
    assert found.hexdigest() == "1d768400de9274f84c488ebccdbfae67"


def test_what_boards_without_the_range_coder_write_is_the_same_everywhere() -> None:
    """Golden digests of lists of positions and of plain bits, with their checksums."""
    for readable, golden in (
        (frozenset({Codec.SPARSE}), "88bc373eb668e6995c44533c35b35051"),
        (frozenset[Codec](), "0bb1dd2ffaa4610364fb9592c60e4478"),
    ):
        found, base = hashlib.blake2b(digest_size=16), Reference(drawn(LARGE, 9))
        for mask in sequence(LARGE, 5, 0.004):
            coded, _ = encode_for(readable, message(mask), ReferenceChoice.LAST, base)
            found.update(bytes([coded.codec]) + coded.checksum + coded.data)
            base = Reference(mask)
        assert found.hexdigest() == golden


def test_the_probabilities_that_the_range_coder_is_given_are_the_same_everywhere() -> None:
    """Golden digest of the integers from which it works; what it makes of them is its own."""
    shares = [range_coder.level_share(level) for level in range(range_coder.LEVELS)]
    costs = [int(cost) for ones in (0, 1, 100) for cost in range_coder.run_costs(ones, 1_000)]
    assert (
        hashlib.blake2b(repr((shares, costs)).encode(), digest_size=16).hexdigest()
        == "fd737ccaf5c02f3c9ffabcf11ba635bc"
    )


def test_levels_are_probabilities_in_order() -> None:
    shares = [range_coder.level_share(level) for level in range(range_coder.LEVELS)]
    assert shares == sorted(shares)
    assert shares[0] == range_coder.ONE >> 20
    assert shares[range_coder.EVEN] * 2 == range_coder.ONE
    assert [range_coder.ONE - share for share in reversed(shares)] == shares


@pytest.mark.parametrize("ending", range(40))
def test_numbers_and_runs_come_back_in_their_order(ending: int) -> None:
    writer, bits = range_coder.Writer(), np.arange(ending, dtype=np.uint8) % 2
    writer.number(2, (1, 2, 3))
    writer.run(bits, 17)
    writer.number(0, (1, 2, 3))
    reader = range_coder.Reader(writer.finish())
    assert reader.number((1, 2, 3)) == 2
    assert reader.run(ending, 17).tolist() == bits.tolist()
    assert reader.number((1, 2, 3)) == 0


coded_bytes = st.binary(min_size=1, max_size=LAYOUT.byte_size + SPARE_BYTES)


@settings(max_examples=200, deadline=None)
@given(coded_bytes, st.sampled_from(Codec), st.sampled_from(ReferenceChoice))
def test_bytes_that_nobody_wrote_are_refused(data: bytes, codec: Codec, choice: ReferenceChoice) -> None:
    incoming = IncomingReference(Reference(drawn(LAYOUT, 1)), same_start=True, last=Reference(drawn(LAYOUT, 2)))
    with pytest.raises(PeerError):
        read(
            incoming,
            CodedMask(
                round=0, kind=MaskKind.KEEP, codec=codec, checksum=bytes(8), data=data, step=None, reference=choice
            ),
        )


def test_a_wrong_base_does_not_go_unnoticed() -> None:
    one, other = drawn(LAYOUT, 1), drawn(LAYOUT, 2)
    for readable in (ALL, frozenset({Codec.SPARSE})):
        coded, _ = encode_for(readable, message(flipped(one, 3, 0.01)), ReferenceChoice.LAST, Reference(one))
        with pytest.raises(PeerError) as refused:
            read(IncomingReference(Reference(other), last=Reference(other)), coded)
        assert refused.value.reason in {"checksum", "mask_bits"}


def test_a_base_that_is_not_here_is_refused() -> None:
    for choice in (ReferenceChoice.LAST, ReferenceChoice.START):
        coded, _ = encode_for(ALL, message(drawn(LAYOUT, 2)), choice, Reference(drawn(LAYOUT, 2)))
        with pytest.raises(PeerError, match="does not hold"):
            read(IncomingReference(None), coded)


class Edge:
    """One direction between two nodes: the sender's view, the receiver's, and what is under way."""

    def __init__(self) -> None:
        start = drawn(LAYOUT, 0)
        self.mask, self.sender, self.receiver = (
            start,
            MaskReferences.from_start(Reference(start)),
            MaskReferences.from_start(Reference(start)),
        )
        self.flying: list[tuple[CodedMask, Mask]] = []
        self.connect()

    def connect(self) -> None:
        self.flying.clear()
        self.sender, self.receiver = (
            self.sender.for_new_link(same_start=True),
            self.receiver.for_new_link(same_start=True),
        )
        held = self.receiver.incoming.last
        self.sender.outgoing.resume(b"" if held is None else held.digest)

    def restart_sender(self) -> None:
        self.sender = MaskReferences.from_start(Reference(drawn(LAYOUT, 0)))
        self.connect()

    def restart_receiver(self) -> None:
        self.receiver = MaskReferences.from_start(Reference(drawn(LAYOUT, 0)))
        self.connect()

    def send(self) -> None:
        self.mask = flipped(self.mask, len(self.flying) + 5, 0.02)
        choice, base = self.sender.outgoing.choose()
        coded, following = encode_for(ALL, message(self.mask), choice, base)
        self.sender.outgoing.mask_sent(following)
        self.flying.append(
            (
                CodedMask(
                    round=0,
                    kind=coded.kind,
                    codec=coded.codec,
                    checksum=coded.checksum,
                    data=coded.data,
                    step=None,
                    reference=choice,
                ),
                self.mask,
            )
        )

    def deliver(self) -> None:
        if self.flying:
            coded, mask = self.flying.pop(0)
            assert read(self.receiver.incoming, coded) == mask


ACTIONS = st.sampled_from(["send", "send", "deliver", "connect", "restart_sender", "restart_receiver"])


@settings(deadline=None)
@given(st.lists(ACTIONS, max_size=30))
def test_masks_arrive_right_after_any_loss_and_restart(actions: list[str]) -> None:
    edge = Edge()
    for action in actions:
        getattr(edge, action)()
    edge.send()
    while edge.flying:
        edge.deliver()
    held = edge.receiver.incoming.last
    assert held is not None
    assert held.mask == edge.mask


def test_after_a_break_masks_go_on_from_what_arrived() -> None:
    edge = Edge()
    edge.send()
    edge.deliver()
    edge.send()
    edge.connect()
    assert edge.sender.outgoing.choose()[0] is ReferenceChoice.LAST
    edge.send()
    edge.deliver()


def test_no_more_than_a_few_bases_are_remembered() -> None:
    edge = Edge()
    edge.send()
    edge.deliver()
    for _ in range(REMEMBERED):
        edge.send()
    edge.connect()
    assert edge.sender.outgoing.choose()[0] is ReferenceChoice.START


def test_a_near_copy_is_left_alone_but_never_first_on_a_link() -> None:
    start, now = drawn(LARGE, 0), flipped(drawn(LARGE, 0), 1, 0.1)
    outgoing = OutgoingReferences(Reference(start), same_start=True)
    assert not outgoing.is_close(start, 0.5)
    outgoing.mask_sent(Reference(now))
    assert outgoing.is_close(now, 0)
    later = flipped(now, 2, 0.004)
    assert not outgoing.is_close(later, 0)
    assert not outgoing.is_close(later, 0.02)
    assert outgoing.is_close(later, 0.1)
    assert not outgoing.for_new_link(same_start=True).is_close(now, 0.5)


@pytest.mark.process
def test_a_board_without_the_range_coder_reads_and_writes_lists() -> None:
    program = (
        "import sys; sys.modules['constriction'] = None\n"
        "from dslnode.protocol.codec.mask_codec import READABLE, Codec\n"
        "assert READABLE == {Codec.RAW, Codec.SPARSE}, READABLE\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    mask = drawn(LARGE, 1)
    later = flipped(mask, 2, 0.001)
    coded = positions.encode(later, mask)
    assert len(coded) < LARGE.byte_size / 20
    assert positions.decode(LARGE, coded, mask) == later


def test_lists_of_positions_are_refused_where_they_end_early_or_late() -> None:
    mask = drawn(LAYOUT, 1)
    coded = positions.encode(flipped(mask, 2, 0.05), mask)
    for damaged in (coded[:-1], coded + b"\0", random.Random(1).randbytes(20)):
        with pytest.raises(ValueError, match=r".+"):
            positions.decode(LAYOUT, damaged, mask)


@pytest.mark.slow
def test_a_hundred_million_weights_take_memory_for_a_few_masks() -> None:
    layout = MaskLayout((MaskLayer("huge", (100_000_000,)),))
    packed = np.random.default_rng(1).bytes(layout.byte_size)
    mask = Mask.from_bytes(layout, packed)
    changed = bytearray(packed)
    changed[::5_000] = bytes(len(changed[::5_000]))
    later = Mask.from_bytes(layout, bytes(changed))
    tracemalloc.start()
    with contextlib.closing(contextlib.ExitStack()) as stack:
        stack.callback(tracemalloc.stop)
        data, _ = delta.encode(later, Reference(mask))
        found, _ = delta.decode(layout, data, Reference(mask))
        peak = tracemalloc.get_traced_memory()[1]
    assert found == later
    assert len(data) < layout.byte_size / 50
    assert peak < 8 * layout.byte_size
