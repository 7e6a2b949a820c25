"""Accuracies over the rounds, in bounded memory."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dslnode.telemetry.score_history import MAX_POINTS, ScoreHistory, sampled

POINTS = st.lists(st.tuples(st.integers(1, 20), st.floats(0, 1)), max_size=50).map(
    lambda steps: [(sum(step for step, _ in steps[: n + 1]), value) for n, (_, value) in enumerate(steps)]
)


@given(st.integers(0, 2_000))
def test_however_long_a_node_runs_the_first_and_the_newest_stay(count: int) -> None:
    history = ScoreHistory()
    for number in range(count):
        history.add(number, number / 2_000)
    rounds = [number for number, _ in history.points]
    assert len(rounds) <= MAX_POINTS
    assert rounds == sorted(set(rounds))
    assert rounds[:1] == [0][:count]
    assert rounds[-1:] == [count - 1][:count]
    assert all(value == number / 2_000 for number, value in history.points)
    gaps = {later - earlier for earlier, later in pairwise(rounds[:-1])}
    assert len(gaps) <= 1, "no part of the run is drawn coarser than another"


@given(POINTS, st.integers(0, 40))
def test_a_drawing_has_a_value_in_every_column_and_ends_at_the_newest(
    points: list[tuple[int, float]], width: int
) -> None:
    values = sampled(points, width)
    assert len(values) == (width if points else 0)
    assert set(values) <= {value for _, value in points}
    if values:
        assert values[-1] == points[-1][1]


def test_columns_are_rounds_not_points() -> None:
    assert sampled([(0, 0.1), (1, 0.2), (10, 0.9)], 11) == [0.1, *[0.2] * 9, 0.9]
