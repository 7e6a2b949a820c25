"""Small simulations for tests: a few nodes on digits, a few local steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dslnode.config.settings import Settings
from dslnode.simulation.local_shards import LocalShards
from dslnode.simulation.simulation import Simulation, SimulationOptions, prepare_simulation
from dslnode.simulation.virtual_node import VirtualNode
from dslnode.simulation.windows import Job, Shards


def simulation(
    *,
    nodes: int = 6,
    topology: str = "ring",
    rounds: int = 3,
    engine: Callable[[Job], Shards] = LocalShards,
    save_every: int = 0,
    **given: Any,
) -> Simulation:
    """Return a simulation that is built. ``given`` are options of the simulation, or settings of its nodes."""
    names = set(SimulationOptions.__dataclass_fields__)
    options = {name: value for name, value in given.items() if name in names}
    chosen = {"local_steps": 5, "evaluate_every": 1, "split": "classes:4", "model": "mlp", "metrics": "off"}
    chosen |= {name: value for name, value in given.items() if name not in names}
    settings = Settings(name="simulated", rounds=rounds, **chosen)
    prepared = prepare_simulation(SimulationOptions(nodes=nodes, topology=topology, **options), settings)
    built = Simulation(prepared, engine=engine, save_every=save_every)
    list(built.build())
    return built


def nodes_of(built: Simulation) -> list[VirtualNode]:
    """Return the nodes of a simulation that this process runs, in order."""
    assert isinstance(built.shards, LocalShards)
    nodes = {number: node for shard in built.shards.shards for number, node in shard.network.nodes.items()}
    return [nodes[number] for number in sorted(nodes)]


def finished(**given: Any) -> Simulation:
    """Return a simulation that has run to its end."""
    ended = simulation(**given)
    list(ended.run())
    return ended
