"""Whether a pair of nodes stays flat over many rounds: memory, file descriptors, threads.

Two nodes exchange masks for 35,000 rounds of one local step. One is weighed at 50 points. Goal: the median of
the last fifth is at most 5 MB above that of the second fifth, and no descriptor or thread is added. The first fifth is
left out: caches and histories of bounded size fill in it.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path

from benchmarks.daemons import Daemon
from benchmarks.report import Column, Report, Row, arguments, publish
from dslnode.cli.daemon_process import free_ports

ROUNDS, QUICK_ROUNDS, POINTS = 35_000, 2_500, 50
GOAL_MB = 5.0
OPTIONS = (
    *("--data", "digits", "--local-steps", "1", "--samples-per-class", "5", "--evaluate-every", "1000"),
    *("--metrics", "127.0.0.1:0", "--seed", "1"),
)
COLUMNS = (
    Column("rounds", "rounds", ",d"),
    Column("memory_mb", "VmRSS, MB", ".1f"),
    Column("descriptors", "descriptors", "d"),
    Column("threads", "threads", "d"),
)


def main() -> int:
    """Run the benchmark."""
    chosen = arguments(__doc__ or "")
    rounds = QUICK_ROUNDS if chosen.quick else ROUNDS
    with tempfile.TemporaryDirectory() as directory:
        first_port, second_port = free_ports(2)
        first = _start(Path(directory) / "first", first_port, "1/4")
        with first, _start(Path(directory) / "second", second_port, "2/4", "--peers", f"127.0.0.1:{first_port}"):
            first.wait_for("neighbour up")
            rows = [_weigh(first, point * rounds // POINTS) for point in range(1, POINTS + 1)]
    shown = rows[:: POINTS // 10] + rows[-1:]
    publish("A pair over many rounds", COLUMNS, Report(shown, _summary(rows)), chosen.json)
    return 0


def _start(directory: Path, port: int, share: str, *more: str) -> Daemon:
    listen = ("--listen", f"127.0.0.1:{port}", "--state-dir", str(directory), "--share", share)
    return Daemon(*OPTIONS, *listen, *more)


def _weigh(daemon: Daemon, rounds: int) -> Row:
    """Return what a node takes when it has finished so many rounds."""
    daemon.wait_for_round(rounds, seconds=3600)
    lines = Path(f"/proc/{daemon.pid}/status").read_text(encoding="ascii").splitlines()
    status = dict(line.split(":", 1) for line in lines)
    return {
        "rounds": rounds,
        "memory_mb": int(status["VmRSS"].split()[0]) / 1000,
        "descriptors": len(os.listdir(f"/proc/{daemon.pid}/fd")),
        "threads": int(status["Threads"]),
    }


def _summary(rows: list[Row]) -> Row:
    fifth = len(rows) // 5
    early, late = rows[fifth : 2 * fifth], rows[-fifth:]
    growth = {
        f"{key}_growth": statistics.median(row[key] for row in late) - statistics.median(row[key] for row in early)
        for key in ("memory_mb", "descriptors", "threads")
    }
    flat = growth["memory_mb_growth"] <= GOAL_MB and growth["descriptors_growth"] <= 0 >= growth["threads_growth"]
    return {**growth, "goal_mb": GOAL_MB, "flat": flat}


if __name__ == "__main__":
    raise SystemExit(main())
