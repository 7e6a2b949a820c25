"""Small simulations for tests: a few nodes on digits, a few local steps."""

from __future__ import annotations

from typing import Any

from dslnode.config.settings import Settings
from dslnode.simulation.simulation import Simulation, SimulationOptions, prepare_simulation


def simulation(*, nodes: int = 6, topology: str = "ring", rounds: int = 3, **given: Any) -> Simulation:
    """Return a simulation that is built. ``given`` are options of the simulation, or settings of its nodes."""
    names = set(SimulationOptions.__dataclass_fields__)
    options = {name: value for name, value in given.items() if name in names}
    chosen = {"local_steps": 5, "evaluate_every": 1, "split": "classes:4", "model": "mlp", "metrics": "off"}
    chosen |= {name: value for name, value in given.items() if name not in names}
    settings = Settings(name="simulated", rounds=rounds, **chosen)
    built = Simulation(prepare_simulation(SimulationOptions(nodes=nodes, topology=topology, **options), settings))
    list(built.build())
    return built


def finished(**given: Any) -> Simulation:
    """Return a simulation that has run to its end."""
    ended = simulation(**given)
    list(ended.run())
    return ended
