"""What is believed of neighbours: honest ones all, loud ones no more than others, contradicting ones not at all."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dslnode.learning.options import RobustAggregation
from dslnode.learning.robust_aggregation import QUORUM, clip_factors, cosine_outliers, robust_weights

SPANS = (slice(0, 400), slice(400, 500))
CLIPPED, OFF = RobustAggregation.CLIPPED, RobustAggregation.OFF


def noise(number: int) -> Tensor:
    return torch.randn(500, generator=torch.Generator().manual_seed(number))


def honest(count: int) -> list[Tensor]:
    """Return pulls of neighbours that have half of what they learned in common."""
    return [noise(0) + noise(number + 1) for number in range(count)]


def found(pulls: list[Tensor], rule: RobustAggregation = CLIPPED) -> dict[int, tuple[float, ...]]:
    return robust_weights(lambda i: pulls[i].clone(), len(pulls), SPANS, rule)


def test_off_believes_everything() -> None:
    assert found([*honest(4), -1e6 * noise(0)], OFF) == dict.fromkeys(range(5), (1.0, 1.0))


def test_without_neighbours_there_is_nothing_to_believe() -> None:
    assert found([]) == {}


def test_honest_neighbours_are_all_believed_and_hardly_shortened() -> None:
    assert len(found(honest(8))) == 8
    assert all(min(factors) > 0.7 for factors in found(honest(8)).values())


@pytest.mark.parametrize("lie", [noise(99), -noise(0), -100 * noise(0), torch.full((500,), 50.0)])
def test_a_liar_among_enough_honest_ones_is_left_out(lie: Tensor) -> None:
    assert found([*honest(6), lie]).keys() == set(range(6))


def test_two_liars_of_ten_who_agree_are_left_out() -> None:
    assert found([-noise(0), *honest(8), -2 * noise(0)]).keys() == set(range(1, 9))


@pytest.mark.parametrize("count", [2, 3])
def test_few_neighbours_are_all_believed_but_the_loud_one_is_shortened(count: int) -> None:
    pulls = [*honest(count - 1), 100 * noise(7)]
    assert count < QUORUM
    factors = found(pulls)
    assert len(factors) == count
    assert max(factors[count - 1]) < 0.6


def test_who_is_loud_in_one_layer_is_shortened_there_alone() -> None:
    loud = noise(0) + noise(50)
    loud[SPANS[1]] *= 1_000
    factors = found([*honest(6), loud])[6]
    assert factors[0] > 0.7
    assert factors[1] < 0.01


def test_an_edge_that_begins_anew_pulls_nowhere_and_shortens_nobody() -> None:
    factors = found([*honest(5), torch.zeros(500)])
    assert all(min(one) > 0.7 for one in factors.values())


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20))
def test_nobody_is_longer_than_the_median_and_nobody_is_lengthened(lengths: list[float]) -> None:
    factors = clip_factors(lengths)
    assert all(0 <= factor <= 1 for factor in factors)
    moving = sorted(length for length in lengths if length)
    if moving:
        longest = max(length * factor for length, factor in zip(lengths, factors, strict=True))
        assert longest <= 1.000001 * moving[len(moving) // 2]


@given(st.lists(st.floats(-1, 1), min_size=QUORUM, max_size=20))
def test_at_least_half_are_believed(cosines: list[float]) -> None:
    assert cosine_outliers(cosines).count(True) <= len(cosines) / 2
