"""Virtual time of rounds in lockstep: the slowest neighbour and the line decide."""

from __future__ import annotations

import math

import pytest

from dslnode.simulation.boards import Board, aggregation_steps
from dslnode.simulation.graph import Neighbours
from dslnode.simulation.link_model import LinkModel
from dslnode.simulation.plan import SimulationPlan
from dslnode.simulation.round_clock import RoundClock

PATH: Neighbours = ((1,), (0, 2), (1,))


def clock(*step_seconds: float, line: LinkModel, neighbours: Neighbours = PATH) -> RoundClock:
    boards = tuple(Board(step_seconds=seconds, keep_ratio=0.3, part=1) for seconds in step_seconds)
    plan = SimulationPlan(neighbours=neighbours, boards=boards, parts=1, line=line)
    return RoundClock(plan, local_steps=10, seed=1)


def test_a_node_waits_for_its_slowest_neighbour_and_no_other() -> None:
    found = clock(0.1, 0.2, 1.0, line=LinkModel(math.inf, 0.5))
    found.advance({0: 80.0, 1: 80.0, 2: 80.0})
    assert found.seconds == pytest.approx(
        [2.0 + 0.5 + 0.1 * aggregation_steps(1), 10.5 + 0.2 * aggregation_steps(2), 10.0 + aggregation_steps(1)]
    )
    assert found.round_seconds == found.seconds


def test_a_thin_line_sends_one_message_after_the_other() -> None:
    found = clock(0.0, 0.0, 0.0, line=LinkModel(8_000.0))
    found.advance({1: 80_000.0})
    sent_once = found.wire_bytes[1] / 2 * 8 / 8_000
    assert found.seconds[0] == pytest.approx(sent_once)
    assert found.seconds[2] == pytest.approx(2 * sent_once)
    assert found.payload_bits == [0.0, 160_000.0, 0.0]
    assert 20_000 < found.wire_bytes[1] < 23_000
    found.advance({1: 80_000.0})
    assert found.seconds[2] == pytest.approx(4 * sent_once), "the line is still taken when the next message is ready"


def test_who_sends_nothing_waits_for_nobody() -> None:
    found = clock(0.1, 0.2, 1.0, line=LinkModel(math.inf, 0.5))
    found.advance({})
    assert found.seconds == pytest.approx([1.0, 2.0, 10.0])
    assert found.wire_bytes == [0, 0, 0]
