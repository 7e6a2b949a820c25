"""A plan deals keep ratios and parts of the data, and refuses what daemons could not form."""

from __future__ import annotations

import pytest

from dslnode.errors import SettingsError
from dslnode.simulation.graph import Neighbours
from dslnode.simulation.hostile import Hostility
from dslnode.simulation.link_model import LinkModel
from dslnode.simulation.plan import SimulationPlan, part_count, plan_boards
from dslnode.simulation.topology import complete, ring


def planned(neighbours: Neighbours) -> SimulationPlan:
    boards = plan_boards((0.01,) * len(neighbours), keep_ratios=(0.3,), parts=1, hostility=None, seed=1)
    return SimulationPlan(neighbours=neighbours, boards=boards, parts=1, line=LinkModel())


def test_ratios_and_parts_are_dealt_in_turn() -> None:
    boards = plan_boards((0.1, 0.2, 0.3, 0.4), keep_ratios=(0.2, 0.5), parts=3, hostility=None, seed=1)
    assert [board.keep_ratio for board in boards] == [0.2, 0.5, 0.2, 0.5]
    assert [board.part for board in boards] == [1, 2, 3, 1]
    assert [board.step_seconds for board in boards] == [0.1, 0.2, 0.3, 0.4]


def test_a_part_of_the_boards_is_hostile() -> None:
    boards = plan_boards((0.1,) * 10, keep_ratios=(0.3,), parts=1, hostility=Hostility(0.3, "loud"), seed=1)
    assert sorted(board.hostile for board in boards) == [""] * 7 + ["loud"] * 3


@pytest.mark.parametrize(("nodes", "examples", "parts"), [(10, 1_000, 10), (1_000, 1_000, 20), (5, 10, 1)])
def test_there_are_as_many_parts_as_nodes_while_there_are_enough_examples(
    nodes: int, examples: int, parts: int
) -> None:
    assert part_count(nodes, examples) == parts


def test_a_network_without_an_honest_node_is_refused() -> None:
    boards = plan_boards((0.1,) * 2, keep_ratios=(0.3,), parts=1, hostility=Hostility(1.0, "silent"), seed=1)
    with pytest.raises(SettingsError, match="leaves no honest node"):
        SimulationPlan(neighbours=ring(2), boards=boards, parts=1, line=LinkModel())


def test_no_network_and_too_many_neighbours_are_refused() -> None:
    assert planned(ring(1)).neighbours == ((),)
    assert len(planned(complete(101)).boards) == 101
    with pytest.raises(SettingsError, match="101 neighbours"):
        planned(complete(102))
    with pytest.raises(SettingsError, match="from 1 to"):
        planned(())
