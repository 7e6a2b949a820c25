"""Runs of another simulator as processes that have a deadline: what they print, and the memory of all their processes.

``mb_per_node`` is what the highest proportional set size of all processes grew by per node, from a run with few nodes.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.report import Row
from benchmarks.simulators.environments import Unavailable

BASE_NODES = 16
ROUNDS = 3
DEADLINE = 600.0
"""Seconds per run, start and warm-up round included."""
SAMPLE_EVERY = 0.5
WITHOUT_REPORTS = {"RAY_USAGE_STATS_ENABLED": "0", "FLWR_TELEMETRY_ENABLED": "0"}
ROOT = Path(__file__).parents[2]
FIGURES = ("seconds_per_round", "edges", "accuracy")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run printed, and the highest memory of its processes together, in MB."""

    figures: dict[str, float]
    peak_mb: float


@dataclass(frozen=True, kw_only=True)
class Runner:
    """How to run a simulator: its environment's Python, its module, and the seconds that a run has."""

    python: Path
    module: str
    deadline: float = DEADLINE

    def run(self, task: Path, nodes: int) -> Outcome:
        """Run a simulation of the task in a process of its own. Raises ``Unavailable`` if it fails or takes too long.

        What it started is ended with it.
        """
        arguments = [str(self.python), "-m", self.module, str(task.absolute()), str(nodes), str(ROUNDS)]
        with tempfile.TemporaryDirectory() as scratch:
            said, complained = Path(scratch, "said"), Path(scratch, "complained")
            environment = {**os.environ, **WITHOUT_REPORTS, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
            environment["FLWR_HOME"] = scratch
            with said.open("w") as out, complained.open("w") as errors:
                process = subprocess.Popen(arguments, stdout=out, stderr=errors, cwd=scratch, env=environment)
                peak = self._watched(process)
            figures = parse_figures(said.read_text(errors="replace"))
            if figures is None:
                raise Unavailable(last_line(complained.read_text(errors="replace")))
        return Outcome(figures=figures, peak_mb=peak)

    def _watched(self, process: subprocess.Popen[bytes]) -> float:
        """Wait for the end; return the highest memory of the process and its descendants, in MB."""
        root, peak, began = psutil.Process(process.pid), 0.0, time.monotonic()
        family = [root]
        try:
            while process.poll() is None:
                if time.monotonic() - began > self.deadline:
                    raise Unavailable(f"was not done after {self.deadline:.0f} seconds")
                family = [root, *descendants(root)]
                peak = max(peak, sum(map(proportional_mb, family)))
                time.sleep(SAMPLE_EVERY)
        finally:
            end(family)
            process.wait()
        return peak


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """Return the processes that a process started, and those that they started; none if it has ended."""
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def proportional_mb(process: psutil.Process) -> float:
    """Return the proportional set size of a process in MB: shared pages count in parts; 0 if it has ended."""
    try:
        return float(process.memory_full_info().pss) / 1e6
    except psutil.Error:
        return 0.0


def end(family: Iterable[psutil.Process]) -> None:
    """End processes that still run."""
    for process in family:
        try:
            process.kill()
        except psutil.Error:
            continue


def parse_figures(said: str) -> dict[str, float] | None:
    """Return the figures from the last line that is a JSON object with all of them; None if there is none."""
    for line in reversed(said.splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and all(isinstance(found.get(name), int | float) for name in FIGURES):
            return {name: float(found[name]) for name in FIGURES}
    return None


def last_line(text: str) -> str:
    """Return the last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "ended without a word"


def rows_of(
    engine: str, run: Callable[[int], Outcome], sizes: Iterable[int], skipped: Callable[[str, str], None]
) -> list[Row]:
    """Return a row for few nodes, without their memory, and one per size, smallest first.

    After the first that fails, tell ``skipped`` which engine and why.
    """
    rows, base = list[Row](), None
    for nodes in (BASE_NODES, *sorted(sizes)):
        try:
            found = run(nodes)
        except Unavailable as error:
            skipped(engine, f"{nodes:,} nodes: {error}")
            return rows
        base = found.peak_mb if base is None else base
        grown = (found.peak_mb - base) / (nodes - BASE_NODES) if nodes > BASE_NODES else None
        rows.append(_row(engine, nodes, found, grown))
    return rows


def _row(engine: str, nodes: int, found: Outcome, mb_per_node: float | None) -> Row:
    seconds, edges = found.figures["seconds_per_round"], int(found.figures["edges"])
    return {
        "engine": engine,
        "nodes": nodes,
        "edges": edges,
        "seconds_per_round": seconds,
        "milliseconds_per_node": 1000 * seconds / nodes,
        "edges_per_second": edges / seconds,
        "mb_per_node": mb_per_node,
        "accuracy": found.figures["accuracy"],
    }


def ratios(rows: list[Row], engine: str, ours: str = "local") -> dict[str, float]:
    """Return, per size that both have, by how much an engine takes more time and memory than ours."""
    own = {row["nodes"]: row for row in rows if row["engine"] == ours}
    found = dict[str, float]()
    for row in rows:
        if row["engine"] == engine and row["nodes"] in own:
            for name, key in (("seconds", "seconds_per_round"), ("memory", "mb_per_node")):
                if row[key] is not None:
                    found[f"{name}_of_{engine}_to_{ours}_{row['nodes']}_nodes"] = row[key] / own[row["nodes"]][key]
    return found
