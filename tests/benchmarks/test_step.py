"""The goals of a local step: each case has its own, and the summary names those that are missed."""

from __future__ import annotations

from benchmarks.step import CASES, GOALS, summary_of


def test_every_case_has_a_goal() -> None:
    assert {(case.model, case.batch) for case in CASES} == set(GOALS)


def test_a_case_is_held_against_its_own_goal() -> None:
    rows = [
        {"model": "mlp", "batch": 32, "ours_to_dense": 1.6, "goal": 1.6},
        {"model": "cnn", "batch": 128, "ours_to_dense": 1.1, "goal": 1.05},
    ]
    assert summary_of(rows) == {"worst_ours_to_dense": 1.6, "missed": ["cnn, batch 128"], "goals_met": False}
    assert summary_of(rows[:1]) == {"worst_ours_to_dense": 1.6, "missed": [], "goals_met": True}
