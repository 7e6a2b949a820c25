"""How far a node leans on its neighbours: a rule of one number, and what it does to a learner."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.learning.collaboration import LEAST, adapted, is_worse


@pytest.mark.parametrize(("after", "worse"), [(0.9, False), (0.8, False), (0.79, False), (0.75, True)])
def test_only_what_chance_does_not_explain_is_worse(after: float, worse: bool) -> None:
    assert is_worse(0.8, after, 256) is worse


@given(st.integers(10, 1_000))
def test_one_answer_more_or_less_is_chance_and_a_third_of_them_never(judges: int) -> None:
    assert not is_worse(0.9, 0.9 - 1 / judges, judges)
    assert is_worse(0.9, 0.9 - 0.34, judges)


@given(st.floats(LEAST, 1), st.booleans())
def test_the_factor_stays_between_its_bounds_and_moves_the_right_way(leaning: float, worse: bool) -> None:
    after = adapted(leaning, worse=worse)
    assert LEAST <= after <= 1
    assert after <= leaning if worse else after >= leaning


def test_one_bad_round_is_forgotten_after_a_good_one() -> None:
    leaning = adapted(1.0, worse=True)
    assert leaning < 1
    assert adapted(leaning, worse=False) == 1


def test_a_node_whose_neighbours_never_help_hears_little_and_can_come_back() -> None:
    leaning = 1.0
    for _ in range(20):
        leaning = adapted(leaning, worse=True)
    assert leaning == LEAST
    for _ in range(6):
        leaning = adapted(leaning, worse=False)
    assert leaning == 1
