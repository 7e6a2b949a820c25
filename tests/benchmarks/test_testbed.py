"""The benchmark of testbeds: eight daemons learn, are killed by lot, start again, do all rounds, and leave nothing."""

from __future__ import annotations

import sys

import pytest

from benchmarks import testbed


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
@pytest.mark.slow
@pytest.mark.process
def test_nodes_survive_random_kills_and_leave_no_process() -> None:
    row = testbed.measure(8, 30, 2, 1)
    assert testbed.meets_goals(row), row
    assert (row["exit_code"], row["kills"]) == (0, 2)


@pytest.mark.parametrize("change", [{"finished": 7}, {"most_private_mb": 61.0}, {"processes_left": 1}, {"score": 50.0}])
def test_each_goal_counts(change: dict[str, float]) -> None:
    row = {"nodes": 8, "finished": 8, "first_score": 60.0, "score": 90.0, "most_private_mb": 40.0, "processes_left": 0}
    assert testbed.meets_goals(row)
    assert not testbed.meets_goals({**row, **change})
