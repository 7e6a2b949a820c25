"""Virtual time goes on from one happening to the next, in an order that does not depend on who keeps the queue."""

from __future__ import annotations

import itertools
import math

import pytest

from dslnode.simulation.event_queue import EventQueue


def test_happenings_come_in_the_order_of_time() -> None:
    queue: EventQueue[str] = EventQueue()
    for seconds, name in ((2.0, "late"), (1.0, "first"), (0.0, "now")):
        queue.plan(name, node=0, source=0, at=seconds)
    assert [queue.take().happening, queue.take().happening] == ["now", "first"]
    assert queue.now == queue.clock() == 1.0
    queue.plan("between", node=0, source=0, at=1.5)
    assert queue.next_seconds == 1.5
    assert [queue.take().happening, queue.take().happening] == ["between", "late"]
    assert queue.next_seconds == math.inf
    with pytest.raises(IndexError):
        queue.take()


def test_equals_come_by_node_then_by_who_planned_them_then_as_they_were_planned() -> None:
    planned = [(node, source, f"{node}{source}") for node in range(2) for source in range(2)]
    for order in itertools.permutations(planned):
        queue: EventQueue[str] = EventQueue()
        for node, source, name in order:
            queue.plan(name, node=node, source=source, at=1.0)
            queue.plan(name + "again", node=node, source=source, at=1.0)
        names = [queue.take().happening for _ in range(8)]
        assert names == [text for _, _, name in planned for text in (name, name + "again")]


def test_what_happens_at_nodes_elsewhere_is_handed_out_once_and_keeps_its_place() -> None:
    here, there = EventQueue[str](range(2)), EventQueue[str](range(2, 4))
    here.plan("first", node=3, source=0, at=1.0)
    there.plan("second", node=3, source=2, at=1.0)
    assert here.next_seconds == math.inf
    for planned in here.collect():
        there.add(planned)
    assert here.collect() == []
    assert [there.take().happening, there.take().happening] == ["first", "second"]
