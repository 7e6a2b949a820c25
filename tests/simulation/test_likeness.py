"""A network like a running one, larger or smaller, and what a simulation takes from it."""

from __future__ import annotations

import pytest

from dslnode.config.settings import Settings
from dslnode.errors import SettingsError
from dslnode.simulation.graph import is_connected
from dslnode.simulation.likeness import Likeness
from dslnode.simulation.simulation import SimulationOptions, prepare_simulation
from dslnode.simulation.topology import ring

LIKE = Likeness(
    neighbours=ring(6),
    keep_ratios=(0.1, 0.2, 0.3, 0.3, 0.4, 0.5),
    round_seconds=(10.0, 20.0, 30.0, 30.0, 40.0, 50.0),
    data_cap="5MB/day",
)


def test_new_nodes_join_as_many_as_is_usual_and_are_like_the_median() -> None:
    larger = LIKE.grown(10, 1)
    assert all(set(peers) >= set(LIKE.neighbours[i]) for i, peers in enumerate(larger.neighbours[:6]))
    assert all(len(peers) >= 2 for peers in larger.neighbours)
    assert is_connected(larger.neighbours)
    assert larger.keep_ratios == (*LIKE.keep_ratios, *[0.3] * 4)
    assert larger.round_seconds[6:] == (30.0,) * 4
    assert larger == LIKE.grown(10, 1)


def test_a_smaller_network_is_its_first_nodes() -> None:
    smaller = LIKE.grown(3, 1)
    assert smaller.neighbours == ((1,), (0, 2), (1,))
    assert smaller.keep_ratios == (0.1, 0.2, 0.3)


def test_a_simulation_takes_graph_ratios_speeds_and_cap() -> None:
    settings = Settings(name="simulated", local_steps=10)
    prepared = prepare_simulation(SimulationOptions(), settings, LIKE)
    assert prepared.plan.neighbours == LIKE.neighbours
    assert [board.keep_ratio for board in prepared.plan.boards] == list(LIKE.keep_ratios)
    assert [board.step_seconds for board in prepared.plan.boards] == pytest.approx([1, 2, 3, 3, 4, 5])
    assert prepared.settings.data_cap == "5MB/day"


def test_what_is_asked_for_wins() -> None:
    settings = Settings(name="simulated", data_cap="3MB/day")
    options = SimulationOptions(nodes=4, keep_ratio="0.25")
    prepared = prepare_simulation(options, settings, LIKE)
    assert [board.keep_ratio for board in prepared.plan.boards] == [0.25] * 4
    assert prepared.settings.data_cap == "3MB/day"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("topology", SimulationOptions(topology="ring")),
        ("speed", SimulationOptions(speed_sigma=0.0)),
        ("step-time", SimulationOptions(step_time=0.01)),
    ],
)
def test_what_the_network_says_is_not_asked_for_as_well(name: str, options: SimulationOptions) -> None:
    with pytest.raises(SettingsError, match=f"--{name}: is what --like takes"):
        prepare_simulation(options, Settings(name="simulated"), LIKE)
