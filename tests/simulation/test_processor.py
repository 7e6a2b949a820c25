"""A processor does one command after the other; what takes no time waits its turn, too."""

from __future__ import annotations

import pytest

from dslnode.learning.options import TrainingOptions
from dslnode.protocol.events import Aggregate, Command, NeighbourMasks, OpenExchange, Train
from dslnode.simulation.boards import Board
from dslnode.simulation.processor import Processor

BOARD = Board(step_seconds=0.1, keep_ratio=0.3, part=1)
HEARD = tuple(NeighbourMasks(peer, None, (), 0) for peer in "abcd")


def test_commands_are_done_in_order_each_when_its_time_is_over() -> None:
    planned: list[tuple[float, Command]] = []
    done: list[Command] = []
    processor = Processor(
        BOARD, TrainingOptions(local_steps=20), plan=lambda *item: planned.append(item), work=done.append
    )
    train, opening, aggregate = Train(0), OpenExchange("a"), Aggregate(0, HEARD)
    for command in (train, opening, aggregate):
        processor.take(command)
    assert [command for _, command in planned] == [train]
    assert done == []
    processor.done(train)
    assert done == [train, opening]
    assert [command for _, command in planned] == [train, aggregate]
    assert [seconds for seconds, _ in planned] == pytest.approx([2.0, 0.1 + 4 * 0.05])
    processor.done(aggregate)
    assert done == [train, opening, aggregate]
