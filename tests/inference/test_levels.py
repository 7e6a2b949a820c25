"""Levels: whole numbers for strengths, and their coded form."""

from __future__ import annotations

import numpy as np
import pytest

from dslnode.inference.levels import HIGHEST, Levels, decode_codes, encode_codes, fitted_levels
from dslnode.protocol.mask import MaskLayer, MaskLayout

LAYOUT = MaskLayout((MaskLayer("a", (40, 100)), MaskLayer("b", (10, 30))))


def kept_and_strengths(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(seed)
    kept = draws.random(LAYOUT.size) < 0.3
    return kept, np.where(kept, draws.random(LAYOUT.size) ** 0.25, 0).astype(np.float32)


@pytest.mark.parametrize(("highest", "most"), [(7, 0.1), (HIGHEST, 0.01)])
def test_levels_are_near_the_strengths_and_nearer_the_more_there_are(highest: int, most: float) -> None:
    kept, strengths = kept_and_strengths()
    found = fitted_levels(strengths, kept, LAYOUT, highest)
    assert found.codes.max() <= highest
    assert np.array_equal(found.codes > 0, kept)
    error = found.strengths(LAYOUT) - strengths
    assert np.sqrt(np.mean(error[kept] ** 2)) < most


def test_strengths_that_are_all_alike_are_exact() -> None:
    kept, _ = kept_and_strengths()
    found = fitted_levels(np.where(kept, np.float32(0.7), np.float32(0)), kept, LAYOUT, 7)
    assert set(found.codes) == {0, 1}
    assert np.array_equal(found.strengths(LAYOUT)[kept], np.full(kept.sum(), np.float32(0.7)))


def test_a_kept_weight_without_strength_has_the_lowest_level_and_a_layer_may_keep_nothing() -> None:
    kept = np.zeros(LAYOUT.size, bool)
    kept[:5] = True
    found = fitted_levels(np.zeros(LAYOUT.size, np.float32), kept, LAYOUT, 7)
    assert found.codes.sum() == 5
    assert all(step > 0 for step in found.steps)


def test_codes_come_back_and_take_about_their_entropy() -> None:
    kept, strengths = kept_and_strengths()
    codes = fitted_levels(strengths, kept, LAYOUT, 7).codes
    data = encode_codes(codes)
    assert np.array_equal(decode_codes(data, kept.astype(np.uint8)), codes)
    shares = np.bincount(codes[kept]) / kept.sum()
    entropy = -sum(share * np.log2(share) for share in shares if share)
    assert 8 * len(data) < 1.1 * entropy * kept.sum() + 8 * 64


@pytest.mark.parametrize(
    "damage", ["cut", "longer mask", "shorter mask", "no stream", "zero", "too high", "more behind"]
)
def test_codes_that_make_no_sense_are_refused(damage: str) -> None:
    kept, strengths = kept_and_strengths()
    mask, codes = kept.astype(np.uint8), fitted_levels(strengths, kept, LAYOUT, 7).codes
    data = encode_codes(codes)
    if damage == "cut":
        data = data[:-5]
    elif damage == "no stream":
        data = b"levels"
    elif damage == "more behind":
        data += b"more"
    elif damage.endswith("mask"):
        mask[np.flatnonzero(mask == (damage == "shorter mask"))[0]] ^= 1
    else:
        wrong = codes.copy()
        wrong[np.flatnonzero(codes)[0]] = 200
        data = encode_codes(wrong) if damage == "too high" else encode_codes(np.where(codes == 1, 0, codes))
        assert damage == "too high" or (codes == 1).any()
    with pytest.raises(ValueError, match="export the model again"):
        decode_codes(data, mask)


def test_a_stream_that_inflates_to_far_more_than_the_mask_keeps_is_not_inflated() -> None:
    bomb = encode_codes(np.ones(50_000_000, np.uint8))
    with pytest.raises(ValueError, match="another number of weights"):
        decode_codes(bomb, np.ones(10, np.uint8))


def test_strengths_are_codes_times_the_step_of_their_layer() -> None:
    codes = np.arange(LAYOUT.size, dtype=np.uint8) % 8
    found = Levels(codes, (0.5, 0.25)).strengths(LAYOUT)
    assert np.array_equal(found[:4000], codes[:4000] * np.float32(0.5))
    assert np.array_equal(found[4000:], codes[4000:] * np.float32(0.25))
