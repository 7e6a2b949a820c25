"""Masks: bits, bounds, distances."""

import pytest
from bitarray import bitarray, frozenbitarray
from hypothesis import given
from hypothesis import strategies as st

from dslnode.protocol.mask import Mask, MaskLayer, MaskLayout

LAYOUT = MaskLayout((MaskLayer("a", (3, 5)), MaskLayer("b", (2, 3))))


def masks(layout: MaskLayout = LAYOUT) -> st.SearchStrategy[Mask]:
    """Return any mask over a layout."""
    bits = st.lists(st.booleans(), min_size=layout.size, max_size=layout.size)
    return bits.map(lambda chosen: Mask(layout, frozenbitarray(bitarray(chosen, endian="little"))))


@given(masks())
def test_packed_mask_reads_back(mask: Mask) -> None:
    assert Mask.from_bytes(LAYOUT, mask.to_bytes()) == mask
    assert len(mask.to_bytes()) == LAYOUT.byte_size


@given(st.binary(max_size=6))
def test_any_bytes_give_a_mask_or_a_value_error(packed: bytes) -> None:
    try:
        mask = Mask.from_bytes(LAYOUT, packed)
    except ValueError:
        return
    assert mask.to_bytes() == packed


def test_bit_order_is_least_significant_first() -> None:
    mask = Mask.from_bytes(LAYOUT, bytes([0b0000_0101, 0, 0]))
    assert [index for index, bit in enumerate(mask.bits) if bit] == [0, 2]


def test_padding_bits_must_be_zero() -> None:
    with pytest.raises(ValueError, match="padding"):
        Mask.from_bytes(LAYOUT, bytes([0, 0, 0b0010_0000]))


def test_wrong_length_is_refused_by_number() -> None:
    with pytest.raises(ValueError, match="2 bytes instead of 3 for 21 weights"):
        Mask.from_bytes(LAYOUT, bytes(2))


def test_bits_of_another_order_are_refused() -> None:
    with pytest.raises(ValueError, match="little-endian"):
        Mask(LAYOUT, frozenbitarray(21, "big"))


def test_densities_by_layer() -> None:
    mask = Mask.from_bytes(LAYOUT, bytes([0xFF, 0x7F, 0]))
    assert mask.layer_densities() == {"a": 1.0, "b": 0.0}
    assert mask.density == pytest.approx(15 / 21)


@given(masks(), masks())
def test_distance_counts_differing_weights(first: Mask, second: Mask) -> None:
    assert first.distance(second) == sum(a != b for a, b in zip(first.bits, second.bits, strict=True))
    assert first.agreement(second) == pytest.approx(1 - first.distance(second) / LAYOUT.size)


def test_layouts_that_differ_in_name_or_shape_have_other_digests() -> None:
    others = [
        MaskLayout((MaskLayer("a", (5, 3)), MaskLayer("b", (2, 3)))),
        MaskLayout((MaskLayer("a", (3, 5)), MaskLayer("c", (2, 3)))),
        MaskLayout((MaskLayer("b", (2, 3)), MaskLayer("a", (3, 5)))),
    ]
    assert LAYOUT.digest not in {other.digest for other in others}
