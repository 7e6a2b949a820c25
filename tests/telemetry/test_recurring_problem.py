"""A failure that recurs is told when its state of affairs changes, and counted each time."""

from __future__ import annotations

import structlog
from structlog.testing import capture_logs

from dslnode.telemetry.recurring_problem import RecurringProblem


def test_it_is_told_when_it_begins_changes_and_ends() -> None:
    counted: list[None] = []
    with capture_logs() as log:
        problem = RecurringProblem("not saved", "saved again", structlog.get_logger(), lambda: counted.append(None))
        problem.succeeded(round=1)
        for number in range(2, 50):
            problem.failed("full", round=number)
        problem.failed("read-only", round=50)
        problem.failed("read-only", round=51)
        problem.succeeded(round=52)
        problem.succeeded(round=53)
        problem.failed("read-only", round=54)
    assert [(line["event"], line.get("problem"), line["round"], line.get("failures")) for line in log] == [
        ("not saved", "full", 2, None),
        ("not saved", "read-only", 50, 49),
        ("saved again", None, 52, 50),
        ("not saved", "read-only", 54, None),
    ]
    assert len(counted) == 51


def test_the_last_failure_of_a_node_is_told_in_any_case() -> None:
    with capture_logs() as log:
        problem = RecurringProblem("not saved", "saved again", structlog.get_logger(), lambda: None)
        problem.failed("full")
        problem.failed("full", is_last=True)
    assert [line.get("failures") for line in log] == [None, 2]
