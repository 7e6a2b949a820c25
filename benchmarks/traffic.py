"""Bits and bytes a round and neighbour: the daemons' own counts against the kernel's interface counters.

Three real daemons, every one the neighbour of the others, each in a network namespace of its own. Goal: within
3 %. After the given rounds the third is paused, so that the other two fall silent waiting for it and their counts
can be read at leisure; theirs are the rows. Kernel bytes are without Ethernet headers. Needs root.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from benchmarks.daemons import FASHION_MNIST, Daemon
from benchmarks.namespaces import Counters, Host, Hosts, missing
from benchmarks.report import Column, Report, Row, arguments, publish
from dslnode.testbed import clean_environment, command_line

GOAL = 0.03
PORT = 7711
SILENCE_SECONDS, PATIENCE_SECONDS = 0.5, 8.0
Status = dict[str, Any]
COLUMNS = (
    Column("data", "data, model"),
    Column("node", "node"),
    Column("rounds", "rounds"),
    Column("payload_bits", "payload bits a round and neighbour", ",.0f"),
    Column("float32_bits", "as float32", ",.0f"),
    Column("wire_bytes", "wire bytes a round and neighbour", ",.0f"),
    Column("overhead", "wire / payload", ".3f"),
    Column("sent_ratio", "app / kernel, sent", ".4f"),
    Column("received_ratio", "app / kernel, received", ".4f"),
)


@dataclass(frozen=True)
class Case:
    """A data set and a model, and the number of rounds to do."""

    data: str
    model: str
    rounds: int

    def arguments(self, hosts: Sequence[Host], index: int) -> tuple[str, ...]:
        """Return the daemon's arguments on one of the hosts."""
        peers = ",".join(f"{host.address}:{PORT}" for host in hosts if host is not hosts[index])
        own = f"{hosts[index].address}:{PORT}"
        return (
            *("--name", f"node-{index + 1}", "--listen", f"0.0.0.0:{PORT}", "--advertise", own, "--peers", peers),
            *("--data", self.data, "--model", self.model, "--share", f"{index + 1}/{len(hosts)}"),
            *("--samples-per-class", "15", "--local-steps", "5", "--round-deadline", "60", "--metrics", "off"),
            *("--evaluate-every", "1000", "--wait-for-peers", "30", "--insecure"),
        )


def main() -> int:
    """Run the benchmark."""
    chosen = arguments(__doc__ or "")
    reason = missing()
    if reason is not None:
        publish("Traffic", COLUMNS, Report(summary={"skipped": reason}), chosen.json)
        return 0
    rows = [row for case in _cases(chosen.quick) for row in _measure(case)]
    worst = max(abs(row[f"{way}_ratio"] - 1) for row in rows for way in ("sent", "received"))
    summary = {"worst_difference": worst, "goal": GOAL, "goal_met": worst <= GOAL}
    publish("Bits and bytes a round and neighbour", COLUMNS, Report(rows, summary), chosen.json)
    return 0


def _cases(quick: bool) -> list[Case]:
    rounds = 20 if quick else 100
    if not FASHION_MNIST.is_dir():
        return [Case("digits", "mlp", rounds)]
    data = f"idx:{FASHION_MNIST}"
    return [Case("digits", "mlp", rounds), Case(data, "mlp", rounds), Case(data, "cnn", rounds)]


def _measure(case: Case) -> list[Row]:
    """Return one row for each of the two nodes that are not paused."""
    with ExitStack() as running:
        hosts = running.enter_context(Hosts(3))
        before = [host.counters() for host in hosts]
        daemons = [
            running.enter_context(Daemon(*case.arguments(hosts, index), prefix=host.prefix))
            for index, host in enumerate(hosts)
        ]
        for daemon in daemons:
            daemon.wait_for_round(case.rounds)
        daemons[-1].pause()
        _wait_for_silence(hosts)
        seen = [(_ask(host), host.counters()) for host in hosts[:-1]]
        logs = [daemon.events("round")[-1] for daemon in daemons]
    return [_row(case, *pair, start, log) for pair, start, log in zip(seen, before, logs, strict=False)]


def _wait_for_silence(hosts: Sequence[Host]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    former: list[Counters] = []
    while time.monotonic() < deadline:
        now = [host.counters() for host in hosts]
        if now == former:
            return
        former = now
        time.sleep(SILENCE_SECONDS)
    raise RuntimeError("the daemons went on talking although one of them was paused")


def _ask(host: Host) -> Status:
    """Return the status of the daemon on a host, asked over its loopback interface, which is not measured."""
    command = [*host.prefix, *command_line("status", "--json", "--address", f"127.0.0.1:{PORT}")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=clean_environment())
    status: Status = json.loads(done.stdout)
    return status


def _row(case: Case, status: Status, after: Counters, before: Counters, log: Status) -> Row:
    """Compare; the log's figures are of the last finished round, the others of the moment of silence."""
    neighbours = status["neighbours"]
    masks = status["float32_bits_sent"] / (32 * status["weights"])  # to all neighbours together
    sent, received = (sum(other[f"wire_bytes_{way}"] for other in neighbours) for way in ("sent", "received"))
    kernel_sent, kernel_received = after.sent - before.sent, after.received - before.received
    return {
        "data": f"{case.data.partition(':')[0].replace('idx', 'Fashion-MNIST')}, {case.model}",
        "node": status["name"],
        "rounds": status["round"],
        "masks_sent": masks,
        "payload_bits": status["payload_bits_sent"] / masks,
        "float32_bits": 32 * status["weights"],
        "wire_bytes": kernel_sent / masks,
        "overhead": 8 * kernel_sent / status["payload_bits_sent"],
        "sent_ratio": sent / kernel_sent,
        "received_ratio": received / kernel_received,
        "app_sent": sent,
        "kernel_sent": kernel_sent,
        "kernel_sent_packets": after.sent_packets - before.sent_packets,
        "app_received": received,
        "kernel_received": kernel_received,
        "kernel_received_packets": after.received_packets - before.received_packets,
        "neighbours": neighbours,
        "log": {key: log[key] for key in ("round", "bits_sent", "bytes_sent")},
    }


if __name__ == "__main__":
    sys.exit(main())
