"""Virtual time goes on from one happening to the next."""

from __future__ import annotations

import pytest

from dslnode.simulation.event_queue import EventQueue


def test_happenings_come_in_the_order_of_time_and_equals_in_that_of_planning() -> None:
    queue: EventQueue[str] = EventQueue()
    for seconds, name in ((2.0, "late"), (1.0, "first"), (1.0, "second"), (0.0, "now")):
        queue.plan(seconds, name)
    assert [queue.take() for _ in range(3)] == ["now", "first", "second"]
    assert queue.now == 1.0
    queue.plan(0.5, "between")
    assert [queue.take(), queue.take()] == ["between", "late"]
    assert len(queue) == 0
    with pytest.raises(IndexError):
        queue.take()
