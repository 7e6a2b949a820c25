"""Real daemons that learn together on this machine: ``dslnode demo``.

The nodes run as on boards, with tickets. The demo reads their logs, then trains the same nodes alone to compare.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from dslnode.cli.demo_nodes import Plan, plan_nodes, run_nodes
from dslnode.cli.formatting import percent
from dslnode.cli.output import write_file
from dslnode.cli.testbed_log import latest_round
from dslnode.cli.testbed_plan import PlannedNode
from dslnode.config.loader import names_code
from dslnode.config.settings import Settings
from dslnode.data.dataset import load_data_set

CLASSES_PER_NODE = 6
SAMPLES_PER_CLASS = 3
PLAIN_REFRESH_SECONDS = 5.0


@dataclass(frozen=True)
class Result:
    """What became of a node: the log line of its last round, and the accuracy that it reaches without neighbours."""

    name: str
    latest: dict[str, Any]
    alone: float

    @property
    def together(self) -> float:
        """Its accuracy on held-out data, 0 to 1."""
        return float(self.latest["accuracy"])


def run_demo(count: int, rounds: int, data: str, report: Path | None) -> None:
    """Run the demo and print its table; ``DataError`` if the data are missing, ``DslnodeError`` if a node fails."""
    if not names_code("data", data):  # code may start threads, and nodes are forked from this process
        load_data_set(data)
    console = Console()
    plan = Plan(count, rounds, data, f"classes:{CLASSES_PER_NODE}", SAMPLES_PER_CLASS)
    console.print(
        f"{count} nodes on {data}: each has {CLASSES_PER_NODE} classes of its own, {SAMPLES_PER_CLASS} examples per "
        f"class, and learns for {rounds} rounds with its neighbours"
    )
    began = time.monotonic()
    with TemporaryDirectory(prefix="dslnode-demo-") as directory:
        nodes = plan_nodes(Path(directory), plan)
        with _display(console) as show:
            run_nodes(nodes, lambda: show(progress_table(nodes)))
        together = [latest_round(node.log) for node in nodes]
    console.print("the same nodes without neighbours ...")
    alone = [local_only_accuracy(node.settings) for node in nodes]
    seconds = time.monotonic() - began
    results = [Result(node.name, latest, local) for node, latest, local in zip(nodes, together, alone, strict=True)]
    console.print(results_table(results))
    console.print("\nThe same on real boards, for example the first of them: twice here, then once on the board:\n")
    for command in board_commands(plan):
        console.print("  dslnode " + " ".join(command), soft_wrap=True, highlight=False)
    if report is not None:
        write_file((json.dumps(as_report(results, seconds), indent=2) + "\n").encode(), report)


def local_only_accuracy(settings: Settings) -> float:
    """Return the held-out accuracy of the same node, data and rounds without any neighbour."""
    import torch

    from dslnode.runtime.build import build_learner

    torch.set_num_threads(settings.threads)
    learner = build_learner(settings)
    for number in range(settings.rounds):
        learner.train_round(number, lambda: False)
    found = learner.judge()
    return 0.0 if found is None else found.judgement.value("accuracy")


def progress_table(nodes: list[PlannedNode]) -> Table:
    """Return one row per node: progress and traffic."""
    table = Table(box=None, pad_edge=False)
    for column in ("node", "round", "loss", "accuracy", "peers", "bits sent", "bits saved"):
        table.add_column(column, justify="left" if column == "node" else "right", min_width=8)
    for node in nodes:
        latest = latest_round(node.log)
        if not latest:
            table.add_row(node.name, "starting")
            continue
        table.add_row(
            node.name,
            f"{latest['round']}/{node.settings.rounds}",
            f"{latest['loss']:.3f}",
            percent(latest.get("accuracy")),
            str(latest["neighbours"]),
            f"{latest['bits_sent']:,}",
            f"{latest['float32_bits'] - latest['bits_sent']:,}",
        )
    return table


def results_table(results: list[Result]) -> Table:
    """Return the final table: accuracy alone and together, and traffic."""
    table = Table(title="Personal accuracy on held-out data", title_justify="left", box=None, pad_edge=False)
    for column in ("node", "alone", "together", "gain", "mask bits sent", "as float32", "wire bytes"):
        table.add_column(column, justify="left" if column == "node" else "right", no_wrap=True)
    for result in results:
        table.add_row(result.name, *_gain(result.alone, result.together), *_cost([result]))
    table.add_section()
    alone, together = (_mean([getattr(result, name) for result in results]) for name in ("alone", "together"))
    table.add_row("mean, sum", *_gain(alone, together), *_cost(results), style="bold")
    return table


def as_report(results: list[Result], seconds: float) -> dict[str, Any]:
    """Return the results in the format of ``--report``."""
    return {
        "nodes": [
            {
                "name": result.name,
                "accuracy": result.together,
                "local_only_accuracy": round(result.alone, 4),
                "rounds": result.latest["round"],
                "payload_bits_sent": result.latest["bits_sent"],
                "wire_bytes_sent": result.latest["bytes_sent"],
            }
            for result in results
        ],
        "seconds": round(seconds, 1),
    }


def board_commands(plan: Plan) -> list[list[str]]:
    """Return the arguments of ``dslnode`` that make an authority and a ticket for the first node, and start it."""
    data = {"data": plan.data}
    by_ticket = not names_code("data", plan.data)  # else a board must name its code itself
    options = {
        **(data if by_ticket else {}),
        "share": f"1/{plan.count}",
        "split": plan.split,
        "samples-per-class": plan.samples_per_class,
        "state-dir": "dslnode-state",
    }
    settings = [part for name, value in options.items() for part in ("--set", f"{name}={value}")]
    return [
        ["ca", "init"],
        ["ca", "issue", "node-1", "--address", "10.0.0.1:7711", *settings],
        ["start", "--ticket", "node-1.ticket", *(() if by_ticket else ("--data", plan.data))],
    ]


@contextlib.contextmanager
def _display(console: Console) -> Iterator[Callable[[Table], None]]:
    """Redraw in place on a terminal; elsewhere print one table after the other, every few seconds."""
    if not console.is_terminal:
        yield _Seldom(console).show
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda table: live.update(table, refresh=True)


class _Seldom:
    """Prints a table if the last one is old enough."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._due = 0.0

    def show(self, table: Table) -> None:
        if time.monotonic() >= self._due:
            self._console.print(table)
            self._due = time.monotonic() + PLAIN_REFRESH_SECONDS


def _gain(alone: float, together: float) -> tuple[str, str, str]:
    return percent(alone), percent(together), f"{100 * (together - alone):+.1f}"


def _cost(results: list[Result]) -> tuple[str, ...]:
    return tuple(
        f"{sum(result.latest[key] for result in results):,}" for key in ("bits_sent", "float32_bits", "bytes_sent")
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
