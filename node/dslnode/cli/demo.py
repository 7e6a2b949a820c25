"""Real daemons that learn together on this machine: ``dslnode demo``.

The nodes run as on boards. The demo reads their logs, then trains the same nodes alone to compare.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from dslnode.cli.formatting import percent
from dslnode.cli.testbed import Node, Plan, plan_nodes, run_nodes
from dslnode.config.loader import names_code
from dslnode.config.settings import Settings
from dslnode.data.dataset import load_data_set

CLASSES_PER_NODE = 6
SAMPLES_PER_CLASS = 3
PLAIN_REFRESH_SECONDS = 5.0
LIVE_REFRESH_SECONDS = 0.25


def run_demo(count: int, rounds: int, data: str, report: Path | None) -> None:
    """Run the demo and print its table; ``DataError`` if the data are missing, ``DslnodeError`` if a node fails."""
    load_data_set(data)
    console = Console()
    plan = Plan(count, rounds, data, f"classes:{CLASSES_PER_NODE}", SAMPLES_PER_CLASS)
    console.print(
        f"{count} nodes on {data}: each has {CLASSES_PER_NODE} classes of its own, {SAMPLES_PER_CLASS} examples per "
        f"class, and learns for {rounds} rounds with its neighbours"
    )
    began = time.monotonic()
    nodes = plan_nodes(plan)
    asyncio.run(_run_and_show(nodes, console))
    console.print("the same nodes without neighbours ...")
    alone = [local_only_accuracy(node.settings) for node in nodes]
    seconds = time.monotonic() - began
    console.print(results_table(nodes, alone))
    console.print("\nThe same on real boards, for example the first of them: twice here, then once on the board:\n")
    for command in board_commands(plan):
        console.print("  dslnode " + " ".join(command), soft_wrap=True, highlight=False)
    if report is not None:
        report.write_text(json.dumps(as_report(nodes, alone, seconds), indent=2) + "\n", encoding="utf-8")


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


def progress_table(nodes: list[Node]) -> Table:
    """Return one row per node: progress and traffic."""
    table = Table(box=None, pad_edge=False)
    for column in ("node", "round", "loss", "accuracy", "peers", "bits sent", "bits saved"):
        table.add_column(column, justify="left" if column == "node" else "right", min_width=8)
    for node in nodes:
        latest = node.latest
        if not latest:
            table.add_row(node.settings.name, "starting")
            continue
        table.add_row(
            node.settings.name,
            f"{latest['round']}/{node.settings.rounds}",
            f"{latest['loss']:.3f}",
            percent(latest.get("accuracy")),
            str(latest["neighbours"]),
            f"{latest['bits_sent']:,}",
            f"{latest['float32_bits'] - latest['bits_sent']:,}",
        )
    return table


def results_table(nodes: list[Node], alone: list[float]) -> Table:
    """Return the final table: accuracy alone and together, and traffic."""
    table = Table(title="Personal accuracy on held-out data", title_justify="left", box=None, pad_edge=False)
    for column in ("node", "alone", "together", "gain", "mask bits sent", "as float32", "wire bytes"):
        table.add_column(column, justify="left" if column == "node" else "right", no_wrap=True)
    together = [float(node.latest["accuracy"]) for node in nodes]
    for node, local, joint in zip(nodes, alone, together, strict=True):
        table.add_row(node.settings.name, *_gain(local, joint), *_cost([node]))
    table.add_section()
    table.add_row("mean, sum", *_gain(_mean(alone), _mean(together)), *_cost(nodes), style="bold")
    return table


def as_report(nodes: list[Node], alone: list[float], seconds: float) -> dict[str, Any]:
    """Return the results in the format of ``--report``."""
    return {
        "nodes": [
            {
                "name": node.settings.name,
                "accuracy": node.latest["accuracy"],
                "local_only_accuracy": round(local, 4),
                "rounds": node.latest["round"],
                "payload_bits_sent": node.latest["bits_sent"],
                "wire_bytes_sent": node.latest["bytes_sent"],
            }
            for node, local in zip(nodes, alone, strict=True)
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


async def _run_and_show(nodes: list[Node], console: Console) -> None:
    refresh_seconds = LIVE_REFRESH_SECONDS if console.is_terminal else PLAIN_REFRESH_SECONDS
    running = asyncio.create_task(run_nodes(nodes))
    try:
        with _display(console) as show:
            while not running.done():
                show(progress_table(nodes))
                await asyncio.wait([running], timeout=refresh_seconds)
            show(progress_table(nodes))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    running.result()


@contextlib.contextmanager
def _display(console: Console) -> Iterator[Any]:
    """Redraw in place on a terminal, print one table after the other elsewhere."""
    if not console.is_terminal:
        yield console.print
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda table: live.update(table, refresh=True)


def _gain(alone: float, together: float) -> tuple[str, str, str]:
    return percent(alone), percent(together), f"{100 * (together - alone):+.1f}"


def _cost(nodes: list[Node]) -> tuple[str, ...]:
    return tuple(f"{sum(node.latest[key] for node in nodes):,}" for key in ("bits_sent", "float32_bits", "bytes_sent"))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
