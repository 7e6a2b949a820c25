"""The goals of a start and its memory: each data set has its own goal of memory, and all are held against torch."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.start import compare, summary_of

TORCH = {"process": "import torch", "started_s": 2.0, "peak_mib": 200.0, "resident_mib": 100.0}


def node(process: str, **figures: float) -> dict[str, Any]:
    return {**TORCH, "process": process, **figures}


def test_nodes_are_measured_against_torch_and_the_goal_of_their_data() -> None:
    bare, digits, fashion = compare([TORCH, node("digits, mlp", peak_mib=230), node("Fashion-MNIST, cnn", started_s=3)])
    assert bare == TORCH
    assert (digits["peak_to_torch"], digits["memory_goal"]) == (1.15, 1.2)
    assert (fashion["started_to_torch"], fashion["memory_goal"]) == (1.5, 1.35)


@pytest.mark.parametrize(("process", "met"), [("digits, mlp", False), ("Fashion-MNIST, mlp", True)])
def test_the_same_memory_may_be_too_much_for_smaller_data(process: str, met: bool) -> None:
    summary = summary_of(compare([TORCH, node(process, peak_mib=260)]), help_seconds=0.2)
    assert (summary["worst_peak_to_torch"], summary["memory_goals_met"]) == (1.3, met)


@pytest.mark.parametrize(("seconds", "met"), [(2.5, True), (2.7, False)])
def test_the_slowest_start_decides(seconds: float, met: bool) -> None:
    rows = compare([TORCH, node("digits, mlp", started_s=seconds), node("digits, cnn", started_s=2.1)])
    assert summary_of(rows, help_seconds=0.2)["start_goal_met"] is met
