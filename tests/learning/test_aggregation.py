"""The neighbour mean and the intermediate aggregation tensor as pure functions."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from bitarray import bitarray, frozenbitarray
from hypothesis import given
from hypothesis import strategies as st

from dslnode.learning.aggregation import (
    aggregation_term,
    intermediate_aggregation_tensor,
    neighbour_mean,
    robust_masks,
)
from dslnode.learning.initialization import seeded_scores
from dslnode.learning.masking import from_mask
from dslnode.learning.options import RobustAggregation
from dslnode.protocol.mask import Mask, MaskLayer, MaskLayout

LAYOUT = MaskLayout((MaskLayer("first", (3, 4)), MaskLayer("last", (2, 3))))


def mask_of(number: int) -> Mask:
    bits = bitarray(endian="little")
    bits.frombytes(number.to_bytes(3, "little"))
    return Mask(LAYOUT, frozenbitarray(bits[: LAYOUT.size]))


masks = st.integers(0, 2**LAYOUT.size - 1).map(mask_of)
weights = st.floats(0, 1, allow_subnormal=False).map(lambda weight: round(weight, 3))
weighted = st.lists(st.tuples(masks, weights), min_size=1, max_size=6).filter(
    lambda pairs: sum(w for _, w in pairs) > 0
)
alphas = st.floats(0, 1000)
means = st.lists(weighted, min_size=1, max_size=1).map(lambda drawn: neighbour_mean(LAYOUT, drawn[0]))
seeds = st.integers(0, 50)


@given(weighted)
def test_the_mean_is_the_weighted_mean_of_the_bits(pairs: list[tuple[Mask, float]]) -> None:
    bits = np.array([mask.bits.tolist() for mask, _ in pairs], dtype=float)
    expected = np.average(bits, axis=0, weights=[weight for _, weight in pairs])
    assert np.allclose(neighbour_mean(LAYOUT, pairs).numpy(), expected, atol=1e-6)


@given(weighted)
def test_entries_lie_between_0_and_1_and_where_all_agree_at_their_bit(pairs: list[tuple[Mask, float]]) -> None:
    mean = neighbour_mean(LAYOUT, pairs)
    assert mean.min() >= 0
    assert mean.max() <= 1 + 1e-6
    for index in range(LAYOUT.size):
        bits = {mask.bits[index] for mask, weight in pairs if weight}
        if len(bits) == 1:
            assert float(mean[index]) == pytest.approx(bits.pop(), abs=1e-6)


@given(weighted, st.randoms(use_true_random=False), st.sampled_from([0.25, 2.0, 64.0]))
def test_neither_order_nor_a_common_factor_of_the_weights_matters(
    pairs: list[tuple[Mask, float]], shuffler: random.Random, factor: float
) -> None:
    mixed = [(mask, weight * factor) for mask, weight in pairs]
    shuffler.shuffle(mixed)
    assert torch.allclose(neighbour_mean(LAYOUT, mixed), neighbour_mean(LAYOUT, pairs), atol=1e-6)


@given(weighted, masks)
def test_a_mask_without_weight_does_not_count(pairs: list[tuple[Mask, float]], other: Mask) -> None:
    assert torch.equal(neighbour_mean(LAYOUT, [*pairs, (other, 0.0)]), neighbour_mean(LAYOUT, pairs))


@given(masks, st.floats(0.001, 1000))
def test_a_single_neighbours_mean_is_its_mask(mask: Mask, weight: float) -> None:
    assert torch.allclose(neighbour_mean(LAYOUT, [(mask, weight)]), from_mask(mask))


@given(masks)
def test_without_weight_there_is_no_mean(mask: Mask) -> None:
    assert not neighbour_mean(LAYOUT, []).any()
    assert not neighbour_mean(LAYOUT, [(mask, 0.0)]).any()


@given(seeds, means, alphas)
def test_the_term_grows_with_alpha_and_mean_and_never_turns_a_sign(seed: int, mean: torch.Tensor, alpha: float) -> None:
    scores = seeded_scores(LAYOUT, seed)
    term = aggregation_term(scores, mean, alpha, LAYOUT)
    for _, span in LAYOUT.spans():
        assert torch.allclose(term[span], alpha * mean[span] * scores[span].abs().mean())
    assert torch.allclose(aggregation_term(-3 * scores, mean, alpha, LAYOUT), 3 * term)
    assert term.min() >= 0
    assert not aggregation_term(scores, mean, 0.0, LAYOUT).any()


@given(seeds, means, alphas)
def test_unsigned_scores_are_ranked_by_size_as_in_the_paper(seed: int, mean: torch.Tensor, alpha: float) -> None:
    scores = seeded_scores(LAYOUT, seed)
    term = aggregation_term(scores, mean, alpha, LAYOUT)
    paper = (scores + scores.sign() * term).abs()
    assert torch.allclose(intermediate_aggregation_tensor(scores, term, signed=False), paper, rtol=1e-5, atol=1e-5)
    assert torch.equal(intermediate_aggregation_tensor(scores, term, signed=True), scores + term)


def test_what_is_given_is_left_alone() -> None:
    scores, mean = seeded_scores(LAYOUT, 1), neighbour_mean(LAYOUT, [(mask_of(0b1010), 1.0)])
    before = (scores.clone(), mean.clone())
    term = aggregation_term(scores, mean, 4.0, LAYOUT)
    intermediate_aggregation_tensor(scores, term, signed=True).zero_()
    assert torch.equal(scores, before[0])
    assert torch.equal(mean, before[1])


def test_masks_that_contradict_the_others_are_not_believed() -> None:
    ground = torch.full((LAYOUT.size,), 0.5)
    honest = [(mask_of(0b111_111_111_000_000_000 ^ (1 << number)), 0.5) for number in range(6)]
    liar = (mask_of(0b000_000_000_111_111_111), 1.0)
    found = robust_masks([*honest, liar], lambda _: ground, RobustAggregation.CLIPPED)
    assert [mask for mask, _ in found] == [mask for mask, _ in honest]
    assert [weight for _, weight in found] == pytest.approx([0.5] * 6)
    assert robust_masks([*honest, liar], lambda _: ground, RobustAggregation.OFF) == [*honest, liar]


def test_masks_that_say_more_than_others_weigh_less() -> None:
    pairs = [(mask_of(0b1), 1.0), (mask_of(0b11), 1.0), (mask_of(2**LAYOUT.size - 1), 1.0)]
    weights = [weight for _, weight in robust_masks(pairs, None, RobustAggregation.CLIPPED)]
    assert weights == pytest.approx([1.0, 1.0, (2 / LAYOUT.size) ** 0.5])
