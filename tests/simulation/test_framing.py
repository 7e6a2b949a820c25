"""Messages take on the wire what the daemon's encoder makes of them, and are counted as the daemon counts."""

from __future__ import annotations

import asyncio
import math

import pytest
from bitarray import bitarray, frozenbitarray

from dslnode.protocol.codec.reference import MaskReferences
from dslnode.protocol.mask import Mask, MaskLayer, MaskLayout
from dslnode.protocol.messages import MaskKind, MaskMessage, Unchanged
from dslnode.simulation.framing import Framed, framed, result_of
from dslnode.transport.encode_cache import LARGE, EncodeCache
from dslnode.transport.frame_codec import FrameEncoder, LinkParameters
from dslnode.transport.traffic import GRPC_FRAMING, Flow

PLAIN = LinkParameters(frozenset(), keep_masks=True)


def keep_mask(size: int) -> MaskMessage:
    layout = MaskLayout((MaskLayer("weight", (1, size)),))
    return MaskMessage(0, MaskKind.KEEP, Mask(layout, frozenbitarray(bitarray(size, endian="little"))))


def encoder() -> FrameEncoder:
    return FrameEncoder(MaskReferences.from_start(None), EncodeCache(large=math.inf), PLAIN)


def test_a_mask_is_its_frames_with_their_framing() -> None:
    size = framed(encoder(), keep_mask(8_000))
    assert size.payload_bits == 8_000
    assert size.kind is MaskKind.KEEP
    assert 1_000 + GRPC_FRAMING < size.framed_bytes < 1_100
    assert size.frames == 1


def test_a_large_mask_has_chunks_and_needs_no_thread() -> None:
    size = framed(encoder(), keep_mask(2 * LARGE))
    assert size.payload_bits == 2 * LARGE
    assert size.frames == 1 + 2 * LARGE // 8 // (64 * 1024)


def test_other_messages_are_control() -> None:
    size = framed(encoder(), Unchanged(3))
    assert (size.kind, size.payload_bits) == (None, 0)
    flow = Flow()
    size.count_in(flow, wire_bytes=200, resent_bytes=50)
    assert (flow.masks, flow.mask_bytes, flow.control_bytes) == (0, 0, size.framed_bytes)
    assert (flow.link_bytes, flow.resent_bytes, flow.wire_bytes) == (200, 50, 200)


def test_a_mask_is_counted_as_one() -> None:
    flow = Flow()
    Framed(500, 3_000, MaskKind.SIGN).count_in(flow, wire_bytes=600)
    assert (flow.masks, flow.mask_bytes, flow.sign_bytes, flow.sign_bits) == (1, 500, 500, 3_000)


def test_nothing_waits_in_virtual_time() -> None:
    with pytest.raises(RuntimeError, match="nothing in virtual time may do"):
        result_of(asyncio.sleep(0))
