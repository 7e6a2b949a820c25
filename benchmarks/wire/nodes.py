"""Bytes a node and round for four real daemons in a ring and a full mesh: kernel counters, headers included."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from benchmarks.daemons import FASHION_MNIST, Daemon
from benchmarks.namespaces import Host, Hosts
from benchmarks.report import Row
from benchmarks.wire.coding import MODEL, RING

PORT = 7711
MESH = tuple(tuple(other for other in range(4) if other != node) for node in range(4))
GRAPHS = {"ring": RING, "mesh": MESH}
FIRST = 3
PATIENCE = 7_200.0


def node_row(graph: str, rounds: int, last: int, *options: str) -> Row:
    """Run four daemons for some rounds; return bytes sent a node and round in the first three and the ``last`` ones.

    The first three hold the handshakes, too. A count is taken when the first node has finished a round; others may
    be within the same round.
    """
    with ExitStack() as running:
        hosts = running.enter_context(Hosts(4))
        began = _sent(hosts)
        daemons = [
            running.enter_context(Daemon(*_arguments(graph, hosts, node, options), prefix=host.prefix))
            for node, host in enumerate(hosts)
        ]
        counts = {}
        for number in sorted({FIRST, rounds - last, rounds}):
            for daemon in daemons:
                daemon.wait_for("round", lambda event, number=number: event["round"] >= number, PATIENCE)  # type: ignore[misc]
            counts[number] = _sent(hosts)
        accuracy = [daemon.events("round")[-1].get("accuracy") for daemon in daemons]
    return {
        "what": " ".join((graph, *options)),
        "rounds": rounds,
        "first3_bytes": (counts[FIRST] - began) / 4 / FIRST,
        "settled_bytes": (counts[rounds] - counts[rounds - last]) / 4 / last,
        "accuracy": accuracy,
    }


def _sent(hosts: Sequence[Host]) -> int:
    return sum(host.counters().sent for host in hosts)


def _arguments(graph: str, hosts: Sequence[Host], node: int, options: Sequence[str]) -> tuple[str, ...]:
    peers = ",".join(f"{hosts[other].address}:{PORT}" for other in GRAPHS[graph][node] if other > node)
    dial = ("--peers", peers) if peers else ()
    return (
        *("--name", f"node-{node + 1}", "--listen", f"0.0.0.0:{PORT}", *dial, "--metrics", "off"),
        *("--data", f"idx:{FASHION_MNIST}", "--model", MODEL, "--share", f"{node + 1}/4", "--split", "classes:4"),
        *("--samples-per-class", "100", "--round-deadline", "120", "--wait-for-peers", "30", "--evaluate-every", "10"),
        *options,
    )
