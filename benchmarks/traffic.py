"""Bits and bytes per round and neighbour: the daemons' own counts against the kernel's interface counters.

Three real daemons, every one the neighbour of the others, each in a network namespace of its own. Goal: within
3 %. They do their rounds and end; their own counts are those of the ledgers that they leave behind. Kernel bytes are
without Ethernet headers. Needs root.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.daemons import FASHION_MNIST, Daemon
from benchmarks.namespaces import Counters, Host, Hosts, missing
from benchmarks.report import Column, Report, Row, arguments, publish
from dslnode.accounting.ledger import Amounts, Direction, Period, ledger_lines
from dslnode.accounting.ledger_file import load
from dslnode.cli.daemon_process import Event

GOAL = 0.03
PORT = 7711
LIFE_SECONDS = 600.0
COLUMNS = (
    Column("data", "data, model"),
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
            *("--evaluate-every", "1000", "--wait-for-peers", "30", "--insecure", "--rounds", str(self.rounds)),
        )


def main() -> int:
    """Run the benchmark."""
    chosen = arguments(__doc__ or "")
    reason = missing()
    if reason is not None:
        publish("Traffic", COLUMNS, Report(summary={"skipped": reason}), chosen.json)
        return 0
    rows = [row for case in _cases(chosen.quick) for row in _measure(case)]
    worst = max(abs(row[f"{direction}_ratio"] - 1) for row in rows for direction in ("sent", "received"))
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
    """Return one row for each node."""
    with ExitStack() as running:
        hosts = running.enter_context(Hosts(3))
        states = [Path(running.enter_context(TemporaryDirectory())) for _ in hosts]
        before = [host.counters() for host in hosts]
        daemons = [
            running.enter_context(
                Daemon(*case.arguments(hosts, index), "--state-dir", str(states[index]), prefix=host.prefix)
            )
            for index, host in enumerate(hosts)
        ]
        for daemon in daemons:
            daemon.wait_for("stopped", seconds=LIFE_SECONDS)
        after = [host.counters() for host in hosts]
        return [_row(case, *facts) for facts in zip(daemons, states, after, before, strict=True)]


def booked(state: Path, direction: Direction) -> Amounts:
    """Return the sum of one direction over the ledger in a node's state directory."""
    ledger_state = load(state)
    assert ledger_state is not None, "a daemon with a state directory keeps a ledger"
    lines = ledger_lines(ledger_state.ledger, Period.DAY)
    return sum((amounts for *_, line_direction, amounts in lines if line_direction is direction), Amounts())


def _row(case: Case, daemon: Daemon, state: Path, after: Counters, before: Counters) -> Row:
    """Compare a node's ledger with its interface; masks are counted by the last round that it logged."""
    log: Event = daemon.events("round")[-1]
    weights = daemon.events("started")[0]["weights"]
    masks = log["float32_bits"] / (32 * weights)  # to all neighbours together
    sent, received = (booked(state, direction).total for direction in (Direction.SENT, Direction.RECEIVED))
    kernel_sent, kernel_received = after.sent - before.sent, after.received - before.received
    return {
        "data": f"{case.data.partition(':')[0].replace('idx', 'Fashion-MNIST')}, {case.model}",
        "rounds": log["round"],
        "masks_sent": masks,
        "payload_bits": log["bits_sent"] / masks,
        "float32_bits": 32 * weights,
        "wire_bytes": kernel_sent / masks,
        "overhead": 8 * kernel_sent / log["bits_sent"],
        "sent_ratio": sent / kernel_sent,
        "received_ratio": received / kernel_received,
        "app_sent": sent,
        "kernel_sent": kernel_sent,
        "kernel_sent_packets": after.sent_packets - before.sent_packets,
        "app_received": received,
        "kernel_received": kernel_received,
        "kernel_received_packets": after.received_packets - before.received_packets,
    }


if __name__ == "__main__":
    sys.exit(main())
