"""Cost of a simulated node, seconds per round and memory, from 100 to 10,000: ``python -m benchmarks.simulation``.

Digits and mlp, with the defaults of a daemon; a random graph with eight neighbours per node. Each size runs in a fresh
process with one thread. ``mb_per_node`` is what the process grew by per node, from before its nodes were built to its
highest; ``mb_beyond`` is what of it is neither scores nor data: without the tensors of the learner's state.
``exponent`` is the slope of log seconds per round over log edges: 1 where the cost is linear.
"""

from __future__ import annotations

import math
import resource
import time

import numpy as np
import torch

from benchmarks.processes import processes
from benchmarks.report import Column, Report, Row, arguments, publish
from dslnode.config.settings import Settings
from dslnode.simulation.simulation import Simulation, SimulationOptions, prepare_simulation
from dslnode.simulation.topology import edges_of

SIZES, QUICK_SIZES = (100, 1_000, 10_000), (50, 100, 200)
ROUNDS, QUICK_ROUNDS = 10, 3
STATE_TENSORS = 6
"""Of the learner's state, each with an entry per score or weight: two of scores, two moments, the mean, a gradient."""
COLUMNS = (
    Column("engine", "engine"),
    Column("nodes", "nodes", ","),
    Column("edges", "edges", ","),
    Column("seconds_per_round", "seconds per round", ".2f"),
    Column("milliseconds_per_node", "ms per node and round", ".1f"),
    Column("mb_per_node", "MB per node", ".2f"),
    Column("mb_beyond", "beyond scores and data", ".2f"),
)


def measure(nodes: int, rounds: int) -> Row:
    """Simulate so many nodes in this process; return the row."""
    torch.set_num_threads(1)
    settings = Settings(name="simulated", data="digits", model="mlp", split="classes:4", rounds=rounds)
    prepared = prepare_simulation(SimulationOptions(nodes=nodes, topology="erdos:8", speed_sigma=0.3), settings)
    before = _resident_mb()
    simulation = Simulation(prepared)
    for _ in simulation.build():
        pass
    began = time.perf_counter()
    for _ in simulation.run():
        pass
    seconds = (time.perf_counter() - began) / rounds
    grown = (_resident_mb() - before) / nodes
    assert simulation.network is not None
    layout = simulation.network.nodes[0].learner.layout
    return {
        "engine": "local",
        "nodes": nodes,
        "edges": len(edges_of(prepared.plan.neighbours)),
        "seconds_per_round": seconds,
        "milliseconds_per_node": 1000 * seconds / nodes,
        "mb_per_node": grown,
        "mb_beyond": grown - STATE_TENSORS * 4 * layout.size / 1e6,
    }


def exponent(rows: list[Row]) -> float:
    """Return the slope of log seconds per round over log edges."""
    edges, seconds = ([math.log(row[key]) for row in rows] for key in ("edges", "seconds_per_round"))
    return float(np.polyfit(edges, seconds, 1)[0])


def main() -> None:
    """Run the benchmark."""
    chosen = arguments(__doc__ or "")
    sizes, rounds = (QUICK_SIZES, QUICK_ROUNDS) if chosen.quick else (SIZES, ROUNDS)
    rows = []
    for nodes in sizes:
        with processes(1) as pool:
            rows.append(pool.submit(measure, nodes, rounds).result())
    summary = {"exponent": exponent(rows), "rounds": rounds}
    publish("Simulated nodes", COLUMNS, Report(rows, summary), chosen.json)


def _resident_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
