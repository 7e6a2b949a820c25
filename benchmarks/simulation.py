"""Cost of a simulated node, seconds per round and memory, from 100 to 10,000: ``python -m benchmarks.simulation``.

Digits and mlp, with the defaults of a daemon and a simulation's line; a random graph with eight neighbours per node.
Engine ``local`` is this process, ``ray`` a cluster that is started here, with one shard per processor; it is left out
where Ray is missing (``pip install 'dslnode[ray]'``). ``--engine`` and ``--nodes`` choose rows:
``python -m benchmarks.simulation --engine ray --nodes 10000``.

Each row runs in a fresh process, with one thread per shard. ``mb_per_node`` is what the processes that hold nodes grew
by per node, from before nodes were built to their highest; with Ray, from when each held its first sixteen nodes.
``mb_beyond`` is what of it is neither scores nor data: without the tensors of the learner's state.
``exponent`` is the slope of log seconds per round over log edges, of ``local`` or the only engine: 1 where the cost is
linear. ``exponent_ENGINE`` is each engine's own.

``--environments DIR`` adds Flower (engine ``flower``) and p2pfl, up to a thousand nodes: the same parts of the data,
model, and local steps, by the Python of environments of their own. They are made below DIR where they are missing,
which takes some minutes and pip's index. Both average float32 weights. Flower has a server, so its ``edges`` are one
per client; p2pfl has our graph. ``seconds_per_round`` leaves out their first round, and their ``mb_per_node`` is from a
run with sixteen nodes. A run that takes more than ``--deadline`` seconds is left out, and larger ones with it.

Finished rows of ours are kept in ``--results`` and not run again.
"""

from __future__ import annotations

import importlib.util
import math
import os
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import torch

from benchmarks.finished_runs import FinishedRuns, add_results_option
from benchmarks.processes import processes
from benchmarks.report import Column, Report, Row, argument_parser, publish
from benchmarks.simulators.environments import SIMULATORS, Simulator, Unavailable, made
from benchmarks.simulators.runs import BASE_NODES, DEADLINE, Runner, ratios, rows_of
from benchmarks.simulators.task import write_task
from dslnode.config.settings import Settings
from dslnode.simulation.build import PreparedSimulation
from dslnode.simulation.engines import Engine, EngineName
from dslnode.simulation.graph import edges_of
from dslnode.simulation.simulation import Simulation, SimulationOptions, prepare_simulation

SIZES, QUICK_SIZES = (100, 1_000, 10_000), (50, 100, 200)
ROUNDS, QUICK_ROUNDS = 10, 3
MOST_OF_OTHERS = 1_000
"""Nodes of the largest simulation that others run."""
LINK = "10Mbit/s,10ms"
STATE_TENSORS = 6
"""Of the learner's state, each with an entry per score or weight: two of scores, two moments, the mean, a gradient."""
COLUMNS = (
    Column("engine", "engine"),
    Column("nodes", "nodes", ","),
    Column("edges", "edges", ","),
    Column("seconds_per_round", "seconds per round", ".2f"),
    Column("milliseconds_per_node", "ms per node and round", ".1f"),
    Column("edges_per_second", "edges per second", ",.0f"),
    Column("mb_per_node", "MB per node", ".2f"),
    Column("mb_beyond", "beyond scores and data", ".2f"),
)


def prepared_simulation(nodes: int, rounds: int) -> PreparedSimulation:
    """Return the simulation that is measured."""
    settings = Settings(name="simulated", data="digits", model="mlp", split="classes:4", rounds=rounds, threads=1)
    options = SimulationOptions(nodes=nodes, topology="erdos:8", speed_sigma=0.3, link=LINK)
    return prepare_simulation(options, settings)


def measure(engine: EngineName, nodes: int, rounds: int) -> Row:
    """Simulate so many nodes; return the row."""
    torch.set_num_threads(1)
    prepared = prepared_simulation(nodes, rounds)
    memory = Memory(engine)
    simulation = Simulation(prepared, engine=Engine(name=engine).start)
    for built in simulation.build():
        memory.nodes_are_built(built)
    began = time.perf_counter()
    for _ in simulation.run():
        pass
    seconds = (time.perf_counter() - began) / rounds
    grown = memory.mb_per_node(nodes)
    simulation.close()
    edges = len(edges_of(prepared.plan.neighbours))
    return {
        "engine": engine.value,
        "nodes": nodes,
        "edges": edges,
        "seconds_per_round": seconds,
        "milliseconds_per_node": 1000 * seconds / nodes,
        "edges_per_second": edges / seconds,
        "mb_per_node": grown,
        "mb_beyond": grown - STATE_TENSORS * 4 * simulation.weights / 1e6,
    }


class Memory:
    """What the processes that hold nodes grew by: this one, or Ray's, from when they had built their first nodes."""

    def __init__(self, engine: EngineName) -> None:
        self._engine = engine
        self._before = self._mb("VmRSS") if engine is EngineName.LOCAL else None
        self._built_before = 0

    def nodes_are_built(self, count: int) -> None:
        """Take in that there are so many nodes."""
        if self._before is None:
            self._before, self._built_before = self._mb("VmRSS"), count

    def mb_per_node(self, nodes: int) -> float:
        """Return by how much they grew per node, to their highest."""
        assert self._before is not None
        return (self._mb("VmHWM") - self._before) / max(1, nodes - self._built_before)

    def _mb(self, figure: str) -> float:
        here = psutil.Process()
        others = (child for child in here.children(recursive=True) if is_shard(child))
        holders = [here] if self._engine is EngineName.LOCAL else others
        return sum(kilobytes(holder.pid, figure) for holder in holders) * 1024 / 1e6


def is_shard(process: psutil.Process) -> bool:
    """Return whether a process holds a shard of a simulation on Ray."""
    return process.cmdline()[:1] != [] and process.cmdline()[0].startswith("ray::ShardHost")


def kilobytes(process_id: int, figure: str) -> int:
    """Return a figure of a process's memory, such as VmRSS, as Linux has it, in kilobytes."""
    lines = Path(f"/proc/{process_id}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{figure}:"))


def exponent(rows: list[Row]) -> float:
    """Return the slope of log seconds per round over log edges."""
    edges, seconds = ([math.log(row[key]) for row in rows] for key in ("edges", "seconds_per_round"))
    return float(np.polyfit(edges, seconds, 1)[0])


def ours(engines: list[EngineName], sizes: list[int], rounds: int, summary: Row, finished: FinishedRuns) -> list[Row]:
    """Return the rows of our engines, each in a fresh process; note exponents, and what is left out.

    Exponents are without the few nodes that only other simulators are compared at.
    """
    rows = list[Row]()
    if EngineName.RAY in engines and importlib.util.find_spec("ray") is None:
        engines = [engine for engine in engines if engine is not EngineName.RAY]
        summary["skipped"] = "ray is not installed: pip install 'dslnode[ray]'"
    for engine in engines:
        own = [measured(engine, nodes, rounds, finished) for nodes in sizes]
        fitted = [row for row in own if row["nodes"] != BASE_NODES]
        if len(fitted) > 1:
            summary[f"exponent_{engine}"] = exponent(fitted)
            summary.setdefault("exponent", summary[f"exponent_{engine}"])
        rows += own
    return rows


def measured(engine: EngineName, nodes: int, rounds: int, finished: FinishedRuns) -> Row:
    """Return the row of a finished run, or run it in a fresh process."""

    def in_a_process() -> Row:
        with processes(1) as pool:
            row = pool.submit(measure, engine, nodes, rounds).result()
        print(f"{engine}, {nodes:,} nodes: {row['seconds_per_round']:.2f} seconds per round", flush=True)
        return row

    return finished.of({"engine": engine.value, "nodes": nodes, "rounds": rounds}, in_a_process)


def others(engines: list[str], sizes: list[int], chosen: Namespace, summary: Row) -> list[Row]:
    """Return the rows of other simulators; note what is left out, and why."""
    rows = list[Row]()
    for simulator in SIMULATORS:
        if simulator.engine in engines:
            rows += other(simulator, sizes, chosen, lambda engine, why: summary.update({f"skipped_{engine}": why}))
    return rows


def other(simulator: Simulator, sizes: list[int], chosen: Namespace, skip: Callable[[str, str], None]) -> list[Row]:
    """Return the rows of another simulator, as far as it can be run."""
    if chosen.environments is None:
        skip(simulator.engine, "is measured with --environments DIR only")
        return []
    try:
        runner = Runner(python=made(simulator, chosen.environments), module=simulator.module, deadline=chosen.deadline)
    except Unavailable as error:
        skip(simulator.engine, str(error))
        return []
    with tempfile.TemporaryDirectory() as scratch:
        return rows_of(simulator.engine, lambda nodes: runner.run(shared_task(scratch, nodes), nodes), sizes, skip)


def shared_task(directory: str, nodes: int) -> Path:
    """Write what other simulators are given, the parts of our data and our graph; return the file."""
    file = Path(directory, f"{nodes}.npz")
    prepared = prepared_simulation(nodes, 1)
    examples = [part.train for part in prepared.parts]
    parts = [((each.stored / each.full_scale).astype(np.float32), each.labels) for each in examples]
    write_task(file, parts, list(edges_of(prepared.plan.neighbours)))
    return file


def main() -> None:
    """Run the benchmark."""
    names = [*map(str, EngineName), *(simulator.engine for simulator in SIMULATORS)]
    parser = argument_parser(__doc__ or "")
    parser.add_argument("--engine", action="append", choices=names, help="only this engine; may be repeated")
    parser.add_argument("--nodes", type=int, nargs="+", help="only so many nodes")
    parser.add_argument("--rounds", type=int, help="rounds of every node of ours")
    parser.add_argument("--environments", type=Path, metavar="DIR", help="measure other simulators, too")
    parser.add_argument("--deadline", type=float, default=DEADLINE, help="seconds for one run of another simulator")
    add_results_option(parser, "simulation")
    chosen = parser.parse_args()
    usual = QUICK_SIZES if chosen.quick else SIZES
    sizes = chosen.nodes or list(usual)
    rounds = chosen.rounds or (QUICK_ROUNDS if chosen.quick else ROUNDS)
    engines = chosen.engine or names
    summary: Row = {"rounds": rounds, "processors": os.cpu_count()}
    own_sizes = sizes if chosen.environments is None else [BASE_NODES, *sizes]
    chosen_engines = [engine for engine in EngineName if engine in engines]
    rows = ours(chosen_engines, own_sizes, rounds, summary, FinishedRuns(chosen.results))
    rows += others(engines, [nodes for nodes in sizes if nodes <= MOST_OF_OTHERS], chosen, summary)
    for simulator in SIMULATORS:
        summary |= ratios(rows, simulator.engine)
    publish("Simulated nodes", COLUMNS, Report(rows, summary), chosen.json)


if __name__ == "__main__":
    main()
