"""How far a node leans on its neighbours: one judgement of an aggregation, and what many of them add up to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.learning.collaboration import MIN_WEIGHT, accept_if_not_worse
from tests.learning.data_sets import three_classes


def judged(weight: float, *, worse: bool) -> float:
    return accept_if_not_worse(0.9, 0.5 if worse else 0.9, chance=0.02, weight=weight).weight


@pytest.mark.parametrize(("after", "accepted"), [(0.9, True), (0.8, True), (0.79, True), (0.75, False)])
def test_only_what_chance_does_not_explain_is_refused(after: float, accepted: bool) -> None:
    assert accept_if_not_worse(0.8, after, chance=0.02, weight=1.0).accepted is accepted


@given(st.integers(10, 1_000))
def test_one_answer_more_or_less_is_chance_and_a_third_of_them_never(examples: int) -> None:
    chance = three_classes().chance(0.9, np.zeros(examples, np.int64))
    assert accept_if_not_worse(0.9, 0.9 - 1 / examples, chance=chance, weight=1.0).accepted
    assert not accept_if_not_worse(0.9, 0.9 - 0.34, chance=chance, weight=1.0).accepted


@given(st.floats(MIN_WEIGHT, 1), st.booleans())
def test_the_weight_stays_between_its_bounds_and_moves_the_right_way(weight: float, worse: bool) -> None:
    after = judged(weight, worse=worse)
    assert MIN_WEIGHT <= after <= 1
    assert after <= weight if worse else after >= weight


def test_one_bad_round_is_forgotten_after_a_good_one() -> None:
    weight = judged(1.0, worse=True)
    assert weight < 1
    assert judged(weight, worse=False) == 1


def test_a_node_whose_neighbours_never_help_leans_little_and_can_come_back() -> None:
    weight = 1.0
    for _ in range(20):
        weight = judged(weight, worse=True)
    assert weight == MIN_WEIGHT
    for _ in range(6):
        weight = judged(weight, worse=False)
    assert weight == 1
