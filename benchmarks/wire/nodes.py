"""Bytes per node and round for four real daemons in a ring and a full mesh, by kernel counters with all headers."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.daemons import Daemon
from benchmarks.namespaces import Host, Hosts
from benchmarks.report import Row
from benchmarks.wire.coding import RING

PORT = 7711
CLOSED_PORT = 1
"""The first of some ports on which no process listens."""
MESH = tuple(tuple(other for other in range(4) if other != node) for node in range(4))
GRAPHS = {"ring": RING, "mesh": MESH}
FIRST = 3
PATIENCE = 7_200.0


@dataclass(frozen=True)
class Run:
    """How long daemons run, and with which data, model and other options. Counts are taken every ``stride`` rounds.

    A run ends before ``rounds`` are done when ``seconds`` have passed and two strides are done.
    """

    rounds: int
    stride: int
    seconds: float
    options: tuple[str, ...]


def node_row(graph: str, run: Run, *options: str) -> Row:
    """Run four daemons; return bytes sent a node and round in the first three rounds, and in the last third of all.

    The first three are those of daemons that end after them, from before their handshakes to after their goodbyes. In
    the longer run a count is taken when all nodes have done ``stride`` rounds since the last one. They go on meanwhile,
    the further the later it is read, so it comes with the rounds that they have logged by then.
    """
    given = (*run.options, *options)
    first = _first_rounds(graph, given)
    with ExitStack() as running:
        hosts = running.enter_context(Hosts(4))
        daemons = _started(running, graph, hosts, given)
        counts = _counts(hosts, daemons, run)
        steps = [daemon.events("round")[-1] for daemon in daemons]
    (last, sent), earlier = counts[-1], counts[:-1]
    settled = [count for count in earlier if count[0] <= last - last / 3] or earlier[:1]
    former, sent_before = settled[-1]
    return {
        "what": " ".join((graph, *options)),
        "options": " ".join(run.options),
        "rounds": round(last),
        "settled_rounds": round(last - former),
        "first3_bytes": first / 4 / FIRST,
        "settled_bytes": (sent - sent_before) / 4 / (last - former),
        "accuracy": [event.get("accuracy") for event in steps],
    }


def _first_rounds(graph: str, options: Sequence[str]) -> int:
    """Return the bytes that four daemons send which do three rounds and end."""
    with Hosts(4) as hosts:
        began = _sent(hosts)
        with ExitStack() as running:
            for daemon in _started(running, graph, hosts, (*options, "--rounds", str(FIRST))):
                daemon.wait_for("stopped", seconds=PATIENCE)
        return _sent(hosts) - began


def _started(running: ExitStack, graph: str, hosts: Sequence[Host], options: Sequence[str]) -> list[Daemon]:
    return [
        running.enter_context(Daemon(*_arguments(graph, hosts, node, options), prefix=host.prefix))
        for node, host in enumerate(hosts)
    ]


def _counts(hosts: Sequence[Host], daemons: Sequence[Daemon], run: Run) -> list[tuple[float, int]]:
    """Return pairs of the mean number of finished rounds and the bytes sent until then, in order, at least two."""
    deadline = time.monotonic() + run.seconds
    counts: list[tuple[float, int]] = []
    reached = 0
    while len(counts) < 2 or (reached < run.rounds and time.monotonic() <= deadline):
        for daemon in daemons:
            daemon.wait_for_round(reached + run.stride, PATIENCE)
        finished = [daemon.events("round")[-1]["round"] for daemon in daemons]
        counts.append((statistics.mean(finished), _sent(hosts)))
        reached = min(finished)
    return counts


def _sent(hosts: Sequence[Host]) -> int:
    return sum(host.counters().sent for host in hosts)


def _arguments(graph: str, hosts: Sequence[Host], node: int, options: Sequence[str]) -> tuple[str, ...]:
    """Return a daemon's arguments: of two neighbours the first dials, and all wait for all their links.

    A node waits for as many links as it has peers; in place of those that dial it, it has some that do not exist, on
    its loopback interface, which is not measured.
    """
    peers = [
        f"{hosts[other].address}:{PORT}" if other > node else f"127.0.0.1:{CLOSED_PORT + other}"
        for other in GRAPHS[graph][node]
    ]
    return (
        *("--name", f"node-{node + 1}", "--listen", f"0.0.0.0:{PORT}", "--peers", ",".join(peers), "--metrics", "off"),
        *("--share", f"{node + 1}/4", "--split", "classes:4", "--round-deadline", "120", "--wait-for-peers", "60"),
        "--insecure",
        *options,
    )
