"""A round waits as long as most neighbours take, and never longer than the limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.protocol.round_deadline import (
    MIN_OBSERVATIONS,
    MIN_SECONDS,
    OBSERVATIONS_PER_NEIGHBOUR,
    RoundDeadline,
    observed_deadline,
)

delays = st.floats(0, 1e6)


@given(st.lists(delays, max_size=60), st.floats(0.01, 1e5))
def test_the_deadline_is_within_the_limit_and_few_observations_give_the_limit(
    observed: list[float], limit: float
) -> None:
    deadline = observed_deadline(observed, limit)
    assert 0 < deadline <= limit
    assert len(observed) >= MIN_OBSERVATIONS or deadline == limit
    assert deadline >= min(limit, MIN_SECONDS)


@given(st.lists(st.floats(0, 5), min_size=20, max_size=40), st.data())
def test_most_neighbours_are_waited_for(observed: list[float], data: st.DataObject) -> None:
    """At least half of what was observed always lies within the deadline."""
    deadline = observed_deadline(observed, 1e9)
    assert sum(delay <= deadline for delay in observed) >= len(observed) / 2
    assert observed_deadline(data.draw(st.permutations(observed)), 1e9) == deadline


@given(st.lists(delays, min_size=8, max_size=8))
def test_one_neighbour_in_five_hardly_moves_the_deadline(false_delays: list[float]) -> None:
    honest = [0.9, 1.0, 1.1, 1.2] * 8
    assert 2 <= observed_deadline(honest + false_delays, 1e9) <= 4


def test_the_first_rounds_wait_to_the_limit_and_later_ones_as_long_as_neighbours_take() -> None:
    deadlines, now = RoundDeadline(30.0), 100.0
    waits = []
    for _ in range(MIN_OBSERVATIONS + 2):
        waits.append(deadlines.begin(now, {"a"}, {"a"}))
        deadlines.message_arrived("a", now + 2.0)
        deadlines.message_arrived("a", now + 2.5)  # a second message of the same round
        now += 10
    assert waits[:MIN_OBSERVATIONS] == [30.0] * MIN_OBSERVATIONS
    assert waits[MIN_OBSERVATIONS:] == [4.0, 4.0]


def test_a_message_that_arrived_during_training_counts_as_no_delay() -> None:
    deadlines = RoundDeadline(30.0)
    for number in range(MIN_OBSERVATIONS):
        deadlines.begin(float(number), (), {"a"})
    assert deadlines.begin(100.0, {"a"}, {"a"}) == MIN_SECONDS


def test_a_late_neighbour_is_measured_from_when_it_was_due_first() -> None:
    deadlines = RoundDeadline(1_000.0)
    for lap in range(OBSERVATIONS_PER_NEIGHBOUR):
        for step in range(5):  # five rounds of ours to one of its
            deadlines.begin(100.0 * lap + 10 * step, {"slow"} if step == 0 else (), {"slow"})
        deadlines.message_arrived("slow", 100.0 * lap + 60)
    assert deadlines.begin(5_000.0, {"slow"}, {"slow"}) == pytest.approx(120.0)


def test_delays_of_disconnected_neighbours_are_forgotten_and_patient_gives_the_limit() -> None:
    deadlines = RoundDeadline(30.0)
    for number in range(MIN_OBSERVATIONS):
        deadlines.begin(float(number), (), {"a"})
    assert deadlines.begin(10.0, {"a"}, {"a"}, patient=True) == 30.0
    assert deadlines.begin(11.0, {"b"}, {"b"}) == 30.0
