"""Centres and scales that wild values do not change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.data.scaling import LIMIT, feature_scales, mean_scale, robust_scale, scaled

values = st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=50)


def test_the_scale_of_normal_numbers_is_their_deviation() -> None:
    numbers = np.random.default_rng(1).normal(50, 4, 20_000)
    centre, scale = robust_scale(numbers)
    assert (abs(centre - 50) < 0.2, abs(scale - 4) < 0.12) == (True, True)
    numbers[:2_000] = 1e9
    centre, scale = robust_scale(numbers)
    assert (abs(centre - 50) < 1, abs(scale - 4) < 0.8) == (True, True)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [([7.0], (7, 1)), ([3.0, 3.0, 3.0], (3, 1)), ([0.0] * 9 + [5.0], (0, pytest.approx(1.5, rel=0.1)))],
)
def test_a_scale_is_never_0(numbers: list[float], expected: tuple[float, float]) -> None:
    assert robust_scale(np.array(numbers)) == expected


@given(values)
def test_whatever_the_numbers_they_are_scaled_to_finite_ones(numbers: list[float]) -> None:
    array = np.array(numbers)
    for centre, scale in (robust_scale(array), mean_scale(array)):
        assert scale > 0
        assert np.abs(scaled(array, centre, scale)).max() <= LIMIT


def test_features_are_looked_at_one_by_one() -> None:
    array = np.random.default_rng(1).normal(size=(200, 5, 3)) * [1, 10, 100] + [0, 5, -5]
    centre, scale = feature_scales(array)
    np.testing.assert_allclose(scale, [1, 10, 100], rtol=0.1)
    np.testing.assert_allclose((centre - [0, 5, -5]) / [1, 10, 100], 0, atol=0.1)
