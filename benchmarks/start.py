"""Seconds from process start to the first round, and memory of a running daemon against a bare ``import torch``.

Goals: at most 1.2 times the memory of ``import torch`` with digits and 1.35 times with Fashion-MNIST; the first round
after at most 1.3 times its seconds; ``dslnode --help`` in under 0.3 s. The first round begins right after the log line
``started``, which is what is timed. Two daemons that are each other's neighbour are weighed
after a few rounds: the peak (VmHWM) and what is resident then (VmRSS).
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.daemons import FASHION_MNIST, Daemon
from benchmarks.report import Column, Report, Row, arguments, interleaved, publish
from dslnode.cli.daemon_process import clean_environment, command_line

MEMORY_GOALS = {"digits": 1.2, "Fashion-MNIST": 1.35}
"""By data: how many times the peak memory of ``import torch`` a node may take at most."""
START_GOAL = 1.3
"""After how many times the seconds of ``import torch`` the first round may begin at most."""
HELP_GOAL = 0.3  # seconds
ROUNDS = 5
BARE = "import sys, torch; print('ready', flush=True); sys.stdin.read()"
NODE = ("--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--share", "1/2", "--samples-per-class", "50")
COLUMNS = (
    Column("process", "process"),
    Column("started_s", "first round begins, s", ".2f"),
    Column("first_round_s", "first round done, s", ".2f"),
    Column("peak_mib", "VmHWM, MiB", ".0f"),
    Column("resident_mib", "VmRSS, MiB", ".0f"),
    Column("started_to_torch", "begins / torch", ".2f"),
    Column("peak_to_torch", "VmHWM / torch", ".2f"),
    Column("memory_goal", "goal", ".2f"),
    Column("resident_to_torch", "VmRSS / torch", ".2f"),
)


def main() -> int:
    """Run the benchmark."""
    chosen = arguments(__doc__ or "")
    repetitions = 3 if chosen.quick else 9
    taken: dict[str, list[Row]] = {"import torch": []}
    for _ in range(repetitions):
        taken["import torch"].append(_bare_torch())
        for name, given in _cases().items():
            taken.setdefault(name, []).append(_daemon(given))
    rows = [{"process": name, **_medians(samples)} for name, samples in taken.items()]
    help_seconds = _help_seconds(5 if chosen.quick else 15)
    rows = compare(rows)
    publish("A daemon's start and memory", COLUMNS, Report(rows, summary_of(rows, help_seconds)), chosen.json)
    return 0


def _cases() -> dict[str, tuple[str, ...]]:
    cases: dict[str, tuple[str, ...]] = {"digits, mlp": ("--data", "digits", "--model", "mlp")}
    if FASHION_MNIST.is_dir():
        data = f"idx:{FASHION_MNIST}"
        cases["Fashion-MNIST, mlp"] = ("--data", data, "--model", "mlp")
        cases["Fashion-MNIST, cnn"] = ("--data", data, "--model", "cnn")
    return cases


def _daemon(given: tuple[str, ...]) -> Row:
    """Return figures of a daemon: the start on its own, the memory after rounds with a neighbour."""
    with Daemon(*NODE, "--name", "one", *given) as first:
        started, _ = first.wait_for("started")
        first_round, _ = first.wait_for("round")
        peer = f"127.0.0.1:{first.port}"
        with Daemon(*NODE, "--name", "two", "--peers", peer, *given) as second:
            second.wait_for_round(ROUNDS)
            first.wait_for("round", lambda event: event["masks"] > 0)
            return {"started_s": started, "first_round_s": first_round, **_memory(first.pid)}


def _bare_torch() -> Row:
    began = time.monotonic()
    command = [sys.executable, "-c", BARE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean_environment()) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seconds = time.monotonic() - began
        memory = _memory(process.pid)
        process.communicate()
    return {"started_s": seconds, **memory}


def _memory(pid: int) -> Row:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    kib = {line.partition(":")[0]: int(line.split()[1]) for line in lines if line.startswith(("VmHWM", "VmRSS"))}
    return {"peak_mib": kib["VmHWM"] / 1024, "resident_mib": kib["VmRSS"] / 1024}


def _medians(samples: list[Row]) -> Row:
    return {key: statistics.median(sample[key] for sample in samples) for key in samples[0]}


def compare(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of nodes with what they take over ``import torch``, the first row, and their memory's goal."""
    bare, *nodes = rows
    return [bare, *({**row, **_over_torch(row, bare)} for row in nodes)]


def _over_torch(row: Row, bare: Row) -> Row:
    data, _, _ = str(row["process"]).partition(",")
    return {
        "started_to_torch": row["started_s"] / bare["started_s"],
        "peak_to_torch": row["peak_mib"] / bare["peak_mib"],
        "resident_to_torch": row["resident_mib"] / bare["resident_mib"],
        "memory_goal": MEMORY_GOALS[data],
    }


def _help_seconds(repetitions: int) -> float:
    script = Path(sys.executable).with_name("dslnode")
    command = [str(script), "--help"] if script.exists() else command_line("--help")

    def run() -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=clean_environment())

    return statistics.median(interleaved({"help": run}, repetitions)["help"])


def summary_of(rows: Sequence[Row], help_seconds: float) -> Row:
    """Return the worst ratios of nodes to ``import torch``, the first row, and which goals were met."""
    nodes = rows[1:]
    slowest = max(row["started_to_torch"] for row in nodes)
    return {
        "help_seconds": help_seconds,
        "help_goal_seconds": HELP_GOAL,
        "help_goal_met": help_seconds < HELP_GOAL,
        "worst_peak_to_torch": max(row["peak_to_torch"] for row in nodes),
        "memory_goals_met": all(row["peak_to_torch"] <= row["memory_goal"] for row in nodes),
        "worst_started_to_torch": slowest,
        "start_goal": START_GOAL,
        "start_goal_met": slowest <= START_GOAL,
    }


if __name__ == "__main__":
    sys.exit(main())
