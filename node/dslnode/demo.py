"""Several real daemons on this machine, learning together before your eyes: what ``dslnode demo`` does.

Each node is a process of its own, started with ``dslnode start`` as on a board; the demo only reads their logs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from dslnode.config import Settings
from dslnode.errors import DslnodeError

CLASSES_A_NODE = 4
SAMPLES_A_CLASS = 15
PLAIN_SECONDS = 5.0


@dataclass
class Node:
    """One daemon of the demo: how it is started, and what its log said so far."""

    settings: Settings
    latest: dict[str, Any] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    def command(self) -> list[str]:
        """Return the command line after ``dslnode`` that starts this node."""
        given = self.settings.model_dump(exclude_unset=True)
        return ["start", *(part for name, value in given.items() for part in _option(name, value))]


def run_demo(count: int, rounds: int, data: str, report: Path | None) -> None:
    """Run the demo and print its table; ``DslnodeError`` if a node fails."""
    console = Console()
    nodes = plan_nodes(count, rounds, data)
    console.print(
        f"{count} nodes on {data}, {CLASSES_A_NODE} classes each, {SAMPLES_A_CLASS} examples a class, {rounds} rounds"
    )
    began = time.monotonic()
    asyncio.run(_run_all(nodes, console))
    console.print("the same nodes without neighbours ...")
    alone = [local_only_accuracy(node.settings) for node in nodes]
    seconds = time.monotonic() - began
    console.print(results_table(nodes, alone))
    console.print("\nThe same on real boards, for example on the first of them:\n")
    console.print("  dslnode " + " ".join(board_command(count, data)), soft_wrap=True, highlight=False)
    if report is not None:
        report.write_text(json.dumps(as_report(nodes, alone, seconds), indent=2) + "\n", encoding="utf-8")


def plan_nodes(count: int, rounds: int, data: str) -> list[Node]:
    """Return the nodes with their settings: loopback addresses, unlike classes, little data."""
    addresses = [f"127.0.0.1:{port}" for port in _free_ports(count)]
    return [
        Node(
            Settings(
                name=f"node-{index + 1}",
                run_id="demo",
                listen=address,
                advertise=address,
                peers=tuple(other for other in addresses if other != address),
                metrics="off",
                data=data,
                share=f"{index + 1}/{count}",
                split=f"classes:{CLASSES_A_NODE}",
                samples_per_class=SAMPLES_A_CLASS,
                rounds=rounds,
                round_deadline=5.0,
                log_format="json",
            )
        )
        for index, address in enumerate(addresses)
    ]


def local_only_accuracy(settings: Settings) -> float:
    """Return the accuracy of the same node, data and rounds without any neighbour."""
    from dslnode.assembly import build_learner

    learner = build_learner(settings)
    for number in range(settings.rounds):
        learner.train(number, lambda: False)
    return learner.accuracy() or 0.0


def results_table(nodes: list[Node], alone: list[float]) -> Table:
    """Return the closing table: alone against together, and what it cost."""
    table = Table(title="personal accuracy on held-out data", title_justify="left")
    for column in ("node", "alone", "together", "gain", "mask bits sent", "as float32", "wire bytes sent"):
        table.add_column(column, justify="left" if column == "node" else "right")
    together = [float(node.latest["accuracy"]) for node in nodes]
    for node, local, joint in zip(nodes, alone, together, strict=True):
        table.add_row(node.settings.name, *_gain(local, joint), *_cost([node]))
    table.add_section()
    table.add_row("mean / sum", *_gain(_mean(alone), _mean(together)), *_cost(nodes))
    return table


def as_report(nodes: list[Node], alone: list[float], seconds: float) -> dict[str, Any]:
    """Return the results as ``--report`` writes them."""
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


def board_command(count: int, data: str) -> list[str]:
    """Return the arguments that do the demo's work on the first of ``count`` boards."""
    peers = ",".join(f"10.0.0.{number}:7711" for number in range(2, count + 1))
    return [
        *("start", "--listen", "0.0.0.0:7711", "--advertise", "10.0.0.1:7711", "--peers", peers),
        *("--data", data, "--share", f"1/{count}", "--split", f"classes:{CLASSES_A_NODE}"),
        *("--samples-per-class", str(SAMPLES_A_CLASS), "--state-dir", "dslnode-state"),
    ]


async def _run_all(nodes: list[Node], console: Console) -> None:
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(_run_node(node)) for node in nodes]
        group.create_task(_show_until_done(running, nodes, console))
    for node in nodes:
        if node.latest.get("round") != node.settings.rounds or "accuracy" not in node.latest:
            raise DslnodeError(f"{node.settings.name} failed:\n" + "\n".join(node.complaints[-20:]))


async def _run_node(node: Node) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dslnode", *node.command()),
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if not name.startswith("DSLNODE_")},
    )
    assert process.stderr is not None
    try:
        async for line in process.stderr:
            _take_line(node, line.decode(errors="replace").rstrip())
        await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def _take_line(node: Node, line: str) -> None:
    try:
        event = json.loads(line)
    except ValueError:
        node.complaints.append(line)
        return
    if event.get("event") == "round":
        node.latest = event
    elif event.get("level") in {"warning", "error"}:
        node.complaints.append(line)


async def _show_until_done(running: list[asyncio.Task[None]], nodes: list[Node], console: Console) -> None:
    done = asyncio.gather(*running)
    with _display(console) as show:
        pause = 0.25 if console.is_terminal else PLAIN_SECONDS
        while not done.done():
            show(progress_table(nodes))
            await asyncio.wait([done], timeout=pause)
        show(progress_table(nodes))


@contextlib.contextmanager
def _display(console: Console) -> Iterator[Any]:
    """Redraw in place on a terminal, print one table after the other elsewhere."""
    if not console.is_terminal:
        yield console.print
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda table: live.update(table, refresh=True)


def progress_table(nodes: list[Node]) -> Table:
    """Return one line a node: how far it is and what it has sent."""
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
            f"{100 * latest['accuracy']:.1f} %" if "accuracy" in latest else "-",
            str(latest["neighbours"]),
            f"{latest['bits_sent']:,}",
            f"{latest['float32_bits'] - latest['bits_sent']:,}",
        )
    return table


def _gain(alone: float, together: float) -> tuple[str, str, str]:
    return f"{100 * alone:.1f} %", f"{100 * together:.1f} %", f"{100 * (together - alone):+.1f}"


def _cost(nodes: list[Node]) -> tuple[str, ...]:
    return tuple(f"{sum(node.latest[key] for node in nodes):,}" for key in ("bits_sent", "float32_bits", "bytes_sent"))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _option(name: str, value: object) -> tuple[str, str]:
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f"--{name.replace('_', '-')}", text


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return [free.getsockname()[1] for free in sockets]
