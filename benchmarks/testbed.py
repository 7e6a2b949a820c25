"""Many real daemons on one machine: do they learn, survive random kills, and end? ``python -m benchmarks.testbed``.

64 nodes of ``dslnode testbed --restart``, on digits and mlp. While they learn, nodes drawn by lot are killed (SIGKILL),
one after the other, while most go on; the testbed starts them again from their states.
Goals: all nodes finish all rounds, at most 60 MB of memory that a node shares with no other, and no process is left.
Linux only. ``--quick`` has 8 nodes and two kills.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.report import Column, Report, Row, argument_parser, publish
from dslnode.cli.testbed_fork import private_bytes
from dslnode.cli.testbed_log import progress_of
from tests.cluster.beds import Bed, processes_of

GOAL_MB = 60.0
DEADLINE = 900.0
"""Seconds for any one thing that is waited for."""
ROUNDS_BETWEEN_KILLS = 3
COLUMNS = (
    Column("nodes", "nodes"),
    Column("rounds", "rounds"),
    Column("kills", "kills"),
    Column("finished", "nodes that did all rounds"),
    Column("first_score", "accuracy after a round, %", ".1f"),
    Column("score", "at the end, %", ".1f"),
    Column("worst_score", "worst node, %", ".1f"),
    Column("private_mb", "private MB, median", ".1f"),
    Column("most_private_mb", "most", ".1f"),
    Column("seconds", "seconds", ".0f"),
    Column("processes_left", "processes left"),
)


def main() -> None:
    """Run the benchmark."""
    parser = argument_parser(__doc__ or "")
    parser.add_argument("--nodes", type=int)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--kills", type=int)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    if sys.platform != "linux":
        sys.exit("a testbed needs Linux: nothing was measured")
    nodes, kills = (8, 2) if chosen.quick else (64, 5)
    row = measure(chosen.nodes or nodes, chosen.rounds, kills if chosen.kills is None else chosen.kills, chosen.seed)
    summary = {"goals_met": meets_goals(row), "goal_mb": GOAL_MB, "seed": chosen.seed}
    publish("A testbed whose nodes are killed", COLUMNS, Report([row], summary), chosen.json)


def meets_goals(row: Row) -> bool:
    """Return whether all nodes have done their rounds within the memory, and left no process behind."""
    finished = row["finished"] == row["nodes"] and row["score"] > row["first_score"]
    return bool(finished and row["most_private_mb"] <= GOAL_MB and row["processes_left"] == 0)


def measure(nodes: int, rounds: int, kills: int, seed: int) -> Row:
    """Run one testbed to its end, kill nodes meanwhile, and return its row."""
    options = ("--nodes", str(nodes), "--rounds", str(rounds), "--split", "classes:6", "--seed", str(seed))
    began = time.monotonic()
    with TemporaryDirectory() as scratch:
        directory = Path(scratch)
        bed = Bed(directory, "--evaluate-every", "1", "--restart", *options, deadline=DEADLINE)
        try:
            bed.wait_until("all have done a round", lambda: all(bed.round(number) for number in range(1, nodes + 1)))
            first, memory = scores(directory, nodes), private_memory(bed, nodes)
            kill_some(bed, nodes, kills, random.Random(seed))
            code = bed.end()
        finally:
            if bed.process.poll() is None:
                bed.end(signal.SIGTERM)
        last = scores(directory, nodes)
        return {
            "nodes": nodes,
            "rounds": rounds,
            "kills": kills,
            "finished": sum(bed.round(number) == rounds for number in range(1, nodes + 1)),
            "exit_code": code,
            "first_score": 100 * statistics.fmean(first),
            "score": 100 * statistics.fmean(last),
            "worst_score": 100 * min(last),
            "private_mb": statistics.median(memory) / 1e6,
            "most_private_mb": max(memory) / 1e6,
            "seconds": time.monotonic() - began,
            "processes_left": len(processes_of(directory)),
        }


def kill_some(bed: Bed, nodes: int, kills: int, lot: random.Random) -> None:
    """Kill as many nodes as asked for, drawn from those that run; between two, most nodes go on some rounds."""
    for _ in range(kills):
        due = median_round(bed, nodes) + ROUNDS_BETWEEN_KILLS
        bed.wait_until(f"most have done round {due:g}", partial(_most_have_done, bed, nodes, due))
        number = lot.choice([number for number in range(1, nodes + 1) if bed.is_running(number)])
        os.kill(bed.pid(number), signal.SIGKILL)
        print(f"node-{number} killed in round {bed.round(number) + 1}", flush=True)


def _most_have_done(bed: Bed, nodes: int, due: float) -> bool:
    return median_round(bed, nodes) >= due


def median_round(bed: Bed, nodes: int) -> float:
    """Return the median of the rounds that nodes have done."""
    return statistics.median(bed.round(number) for number in range(1, nodes + 1))


def scores(directory: Path, nodes: int) -> list[float]:
    """Return each node's last accuracy, 0 to 1."""
    found = (progress_of(directory / f"node-{number}" / "log").score for number in range(1, nodes + 1))
    return [score for score in found if score is not None]


def private_memory(bed: Bed, nodes: int) -> list[int]:
    """Return the bytes that each node shares with no other."""
    return [private_bytes(bed.pid(number)) for number in range(1, nodes + 1)]


if __name__ == "__main__":
    main()
