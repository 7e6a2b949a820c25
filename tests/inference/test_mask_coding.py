"""Masks in a model's file: the same bits come back, for about their entropy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dslnode.inference.mask_coding import ONE, CodedMask, decode_mask, encode_mask
from dslnode.protocol.mask import MaskLayer, MaskLayout


def layout_of(*sizes: int) -> MaskLayout:
    return MaskLayout(tuple(MaskLayer(str(index), (size,)) for index, size in enumerate(sizes)))


def entropy(share: float) -> float:
    return 0.0 if share in {0.0, 1.0} else float(-share * np.log2(share) - (1 - share) * np.log2(1 - share))


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 6_000), min_size=1, max_size=3),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 2**32),
)
def test_every_mask_comes_back(sizes: list[int], density: float, noise: float, seed: int) -> None:
    layout, draws = layout_of(*sizes), np.random.default_rng(seed)
    reference = (draws.random(layout.size) < density).astype(np.uint8)
    bits = reference ^ (draws.random(layout.size) < noise)
    coded = encode_mask(bits, reference, layout)
    assert (decode_mask(coded, reference, layout) == bits).all()


@pytest.mark.parametrize("flipped", [0.5, 0.1, 0.01, 0.0])
def test_it_costs_what_the_reference_does_not_say(flipped: float) -> None:
    layout, draws = layout_of(400_000), np.random.default_rng(1)
    reference = (draws.random(layout.size) < 0.3).astype(np.uint8)
    bits = reference ^ (draws.random(layout.size) < flipped)
    length = len(encode_mask(bits, reference, layout).data)
    assert length <= 1.001 * entropy(flipped) * layout.size / 8 + 4 * 128 + 100


def test_the_bytes_are_the_same_everywhere() -> None:
    layout = layout_of(3_000, 70)
    bits = (np.arange(layout.size) % 7 < 2).astype(np.uint8)
    reference = (np.arange(layout.size) % 5 < 2).astype(np.uint8)
    coded = encode_mask(bits, reference, layout)
    assert coded.probabilities == (18714, 18786, 18724, 18724)
    assert coded.data[:8].hex() == GOLDEN


GOLDEN = "c4281b0153ad0f0b"


@given(st.binary(max_size=200), st.lists(st.integers(0, ONE), min_size=2, max_size=2))
def test_bytes_that_are_no_mask_are_refused_or_read_as_one(data: bytes, probabilities: list[int]) -> None:
    layout = layout_of(300)
    reference = np.zeros(layout.size, np.uint8)
    try:
        bits = decode_mask(CodedMask(tuple(probabilities), data), reference, layout)
    except ValueError:
        return
    assert set(bits.tolist()) <= {0, 1}


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_cut_data_are_refused(cut: int) -> None:
    layout = layout_of(3_000)
    bits = (np.arange(layout.size) % 7 < 2).astype(np.uint8)
    coded = encode_mask(bits, np.zeros_like(bits), layout)
    with pytest.raises(ValueError, match=r"cut short|end where"):
        decode_mask(CodedMask(coded.probabilities, coded.data[:-cut]), np.zeros_like(bits), layout)
