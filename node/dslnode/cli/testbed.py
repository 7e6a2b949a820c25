"""Several real daemons on this machine, each a process started with ``dslnode start`` and followed by its log."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import random
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from dslnode.config.loader import PREFIX
from dslnode.config.settings import Settings
from dslnode.errors import DslnodeError

MAX_COMPLAINTS = 20
LISTENING_PORTS = range(20_000, 32_768)  # Linux lends outgoing connections 32768 to 60999, others 49152 to 65535


@dataclass(frozen=True)
class Plan:
    """What the nodes of a testbed learn, and how little of it each one sees."""

    count: int
    rounds: int
    data: str
    split: str  # as --split
    samples_per_class: int
    seed: int = 1
    model: str = "mlp"
    linked: bool = True  # False: the same nodes without any peer
    evaluate_every: int = 1


@dataclass
class Node:
    """One daemon: how it is started, and what its log said so far."""

    settings: Settings
    rounds: list[dict[str, Any]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def latest(self) -> dict[str, Any]:
        """The log line of the last finished round; empty before the first."""
        return self.rounds[-1] if self.rounds else {}

    @property
    def done(self) -> bool:
        """Whether all rounds are finished."""
        return self.latest.get("round") == self.settings.rounds and "accuracy" in self.latest

    def command(self) -> list[str]:
        """Return the arguments of ``dslnode`` that start this node."""
        given = self.settings.model_dump(exclude_unset=True)
        return ["start", *(part for name, value in given.items() for part in _option(name, value))]

    def take(self, line: str) -> None:
        """Take in one line of the node's log."""
        try:
            event = json.loads(line)
        except ValueError:
            event = {}
        if event.get("event") == "round":
            self.rounds.append(event)
        elif event.get("level", "error") in {"warning", "error"}:
            self.complaints = [*self.complaints[-MAX_COMPLAINTS:], line]


def plan_nodes(plan: Plan) -> list[Node]:
    """Return the nodes of a plan: fully meshed on loopback, disjoint shares, no state kept."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(plan.count)]
    return [
        Node(
            Settings(
                name=f"node-{index + 1}",
                run_id="testbed",
                listen=address,
                advertise=address,
                peers=tuple(other for other in addresses if other != address and plan.linked),
                metrics="off",
                data=plan.data,
                model=plan.model,
                share=f"{index + 1}/{plan.count}",
                split=plan.split,
                samples_per_class=plan.samples_per_class,
                seed=plan.seed,
                rounds=plan.rounds,
                wait_for_peers=60.0,
                evaluate_every=plan.evaluate_every,
                log_format="json",
            )
        )
        for index, address in enumerate(addresses)
    ]


def command_line(*parts: str) -> list[str]:
    """Return the command line of a ``dslnode`` command, run by this interpreter."""
    return [sys.executable, "-m", "dslnode", *parts]


def clean_environment() -> dict[str, str]:
    """Return this process's environment without settings, which would reach into every node."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


async def run_nodes(nodes: Sequence[Node]) -> None:
    """Run all nodes to their end, whatever comes; ``DslnodeError`` with what a node complained of, if one fails."""
    async with asyncio.TaskGroup() as group:
        for node in nodes:
            group.create_task(_run_node(node))
    for node in nodes:
        if not node.done:
            raise DslnodeError(f"{node.settings.name} failed:\n" + "\n".join(node.complaints))


async def _run_node(node: Node) -> None:
    process = await asyncio.create_subprocess_exec(
        *command_line(*node.command()), stderr=asyncio.subprocess.PIPE, env=clean_environment()
    )
    assert process.stderr is not None
    try:
        async for line in process.stderr:
            node.take(line.decode(errors="replace").rstrip())
        await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def _option(name: str, value: object) -> tuple[str, str]:
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f"--{name.replace('_', '-')}", text


def free_ports(count: int) -> list[int]:
    """Return loopback ports that are free now; ``OSError`` if there are not as many.

    None is among those that systems lend to outgoing connections: a node dials its neighbours before they listen, and
    would now and then be lent the very port that one of them is about to take.
    """
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        candidates = iter(random.SystemRandom().sample(LISTENING_PORTS, len(LISTENING_PORTS)))
        return [_bound(free, candidates) for free in sockets]


def _bound(free: socket.socket, candidates: Iterator[int]) -> int:
    for port in candidates:
        with contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
    raise OSError(errno.EADDRINUSE, f"no port from {LISTENING_PORTS[0]} to {LISTENING_PORTS[-1]} is free on 127.0.0.1")
