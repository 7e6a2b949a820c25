"""What each attack costs a training pair: rounds, memory, the way in for a newcomer, and the way out.

Two nodes learn the digits together. Their rounds per second are counted before, during and after each attack on the
first of them, by two holders of tickets or by strangers. During the attack a third node joins. Afterwards the memory
is read again; then the attack comes back and the node is stopped. Goals: every node lives, a newcomer is linked within
5 s, a stop takes at most 5 s, and at least half of the rounds are left. Attacker and nodes share this machine's cores.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.attacks.attacker import attacking
from benchmarks.attacks.scenarios import ATTACKS, FEW_DESCRIPTORS, WITHOUT_TICKETS, Targets
from benchmarks.daemons import Daemon
from benchmarks.report import Column, Report, Row, argument_parser, publish
from dslnode.cli.daemon_process import free_ports
from dslnode.config.settings import Settings
from dslnode.runtime.checkpoint import StateDirectory
from dslnode.security.authority import Authority
from dslnode.security.secret_files import write_private
from dslnode.security.ticket import ticket_text

RUN = "attacked"
FULL_SECONDS, QUICK_SECONDS = 60.0, 10.0
SETTLE_SECONDS = 10.0
"""Seconds after an attack before what is left of it is read."""
SAMPLE_SECONDS = 0.2
STOPPED = 128 + signal.SIGTERM
"""Exit code of a node that was told to end and did."""
MAX_STOP_SECONDS, MAX_NEWCOMER_SECONDS = 20.0, 60.0
GOALS = {"rounds_ratio": 0.5, "newcomer_seconds": 5.0, "stop_seconds": 5.0}
LIMITED = ("sh", "-c", 'ulimit -n 256; exec "$@"', "sh")
COLUMNS = (
    Column("attack", "attack"),
    Column("rounds_before", "rounds/s before", ".1f"),
    Column("rounds_ratio", "during / before", ".2f"),
    Column("rounds_ratio_after", "after / before", ".2f"),
    Column("memory_mb_before", "MB before", ".0f"),
    Column("memory_mb_peak", "peak", ".0f"),
    Column("memory_mb_after", "after", ".0f"),
    Column("descriptors_peak", "descriptors", "d"),
    Column("newcomer_seconds", "newcomer, s", ".1f"),
    Column("stop_seconds", "stop, s", ".2f"),
    Column("last_round_saved", "last round kept"),
    Column("alive", "alive"),
)


@dataclass
class Watch:
    """Samples a process: the most memory and descriptors since ``restart``. It runs in a thread of its own."""

    pid: int
    memory: float = 0.0  # MB
    descriptors: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Sample until ``end``."""
        while not self._ended.wait(SAMPLE_SECONDS):
            with contextlib.suppress(OSError):
                self.memory = max(self.memory, resident_mb(self.pid))
                self.descriptors = max(self.descriptors, len(os.listdir(f"/proc/{self.pid}/fd")))

    def end(self) -> None:
        """Sample no more."""
        self._ended.set()


@dataclass(frozen=True)
class Pair:
    """Two nodes that learn together, and what is needed to add a third or to attack them."""

    first: Daemon
    second: Daemon
    targets: Targets
    directory: Path
    options: tuple[str, ...]

    def ticket(self, name: str) -> Path:
        """Return a ticket's file."""
        return self.directory / f"{name}.ticket"


def main() -> int:
    """Run the benchmark."""
    parser = argument_parser(__doc__ or "")
    parser.add_argument("--attacks", default=",".join(ATTACKS), help="which, with commas between; all by default")
    chosen = parser.parse_args()
    seconds = QUICK_SECONDS if chosen.quick else FULL_SECONDS
    rows = []
    for name in chosen.attacks.split(","):
        rows.append(measure(name, seconds))
        print(f"{name}: {rows[-1]['rounds_ratio']:.2f} of the rounds, alive: {rows[-1]['alive']}", flush=True)
    publish("Attacks on a training pair", COLUMNS, Report(rows, _summary(rows)), chosen.json)
    return 0


def measure(name: str, seconds: float) -> Row:
    """Return the figures of one attack."""
    with running_pair(name) as pair:
        first, settings = pair.first, Settings(data="digits", run_id=RUN, share="1/4", seed=1)
        tickets = pair.ticket("liar"), pair.ticket("accomplice")
        before = rounds_per_second(first, min(seconds, 20.0))
        memory_before = resident_mb(first.pid)
        watch = Watch(first.pid)
        threading.Thread(target=watch.run, daemon=True).start()
        with attacking(name, pair.targets, tickets, settings):
            during = rounds_per_second(first, seconds)
            newcomer = seconds_to_join(pair)
        watch.end()
        time.sleep(SETTLE_SECONDS)
        alive = first.process.poll() is None
        row = {
            "attack": name,
            "rounds_before": before,
            "rounds_ratio": during / before,
            "rounds_ratio_after": rounds_per_second(first, min(seconds, 20.0)) / before,
            "memory_mb_before": memory_before,
            "memory_mb_peak": watch.memory,
            "memory_mb_after": resident_mb(first.pid) if alive else 0.0,
            "descriptors_peak": watch.descriptors,
            "newcomer_seconds": newcomer,
        }
        with attacking(name, pair.targets, tickets, settings):
            time.sleep(min(seconds, 5.0))
            alive = alive and first.process.poll() is None
            row["stop_seconds"] = seconds_to_stop(first)
        row["last_round_saved"] = saved_round(pair.directory / "first") >= first.events("round")[-1]["round"]
    return {
        **row,
        "alive": "yes" if alive and first.process.returncode == STOPPED else f"no, {first.process.returncode}",
    }


@contextlib.contextmanager
def running_pair(attack: str) -> Iterator[Pair]:
    """Start two nodes that are linked and have finished rounds."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        make_tickets(directory)
        first_port, second_port, page = free_ports(3)
        common = ("--data", "digits", "--local-steps", "10", "--seed", "1")
        prefix = LIMITED if attack in FEW_DESCRIPTORS else ()

        def start(name: str, port: int, *more: str) -> Daemon:
            trust = ("--insecure", "--run-id", RUN) if attack in WITHOUT_TICKETS else ticket_option(directory, name)
            options = (*common, *trust, "--listen", f"127.0.0.1:{port}", "--state-dir", str(directory / name), *more)
            return stack.enter_context(Daemon(*options, prefix=prefix))

        first = start("first", first_port, "--metrics", f"127.0.0.1:{page}", "--share", "1/4")
        second = start(
            "second", second_port, "--metrics", "off", "--share", "2/4", "--peers", f"127.0.0.1:{first_port}"
        )
        for daemon in (first, second):
            daemon.wait_for("neighbour up")
            daemon.wait_for_round(20)
        trust = ("--insecure", "--run-id", RUN) if attack in WITHOUT_TICKETS else ticket_option(directory, "newcomer")
        yield Pair(first, second, Targets(first_port, second_port, page), directory, (*common, *trust))


def make_tickets(directory: Path) -> None:
    """Issue a ticket to each node and each attacker."""
    now = datetime.now(UTC)
    authority = Authority.create(directory / "authority", RUN, now)
    for name in ("first", "second", "newcomer", "liar", "accomplice"):
        ticket = authority.issue(name, now, 1, settings={})
        write_private(directory / f"{name}.ticket", ticket_text(ticket), replace=False)


def ticket_option(directory: Path, name: str) -> tuple[str, str]:
    """Return the option that gives a node its ticket."""
    return "--ticket", str(directory / f"{name}.ticket")


def rounds_per_second(daemon: Daemon, seconds: float) -> float:
    """Return how many rounds a node finishes per second from now on."""
    began, before = time.monotonic(), len(daemon.events("round"))
    time.sleep(seconds)
    return (len(daemon.events("round")) - before) / (time.monotonic() - began)


def seconds_to_join(pair: Pair) -> float:
    """Return how long a newcomer takes from its start, once loaded, to a link with the first node."""
    peers = ("--peers", f"127.0.0.1:{pair.targets.first}", "--listen", "127.0.0.1:0", "--metrics", "off")
    with Daemon(*pair.options, *peers, "--share", "3/4") as newcomer:
        started = newcomer.wait_for("started")[0]
        try:
            return newcomer.wait_for("neighbour up", seconds=MAX_NEWCOMER_SECONDS)[0] - started
        except TimeoutError:
            return MAX_NEWCOMER_SECONDS


def seconds_to_stop(daemon: Daemon) -> float:
    """Return how long a node takes to end after SIGTERM."""
    began = time.monotonic()
    daemon.process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        daemon.process.wait(MAX_STOP_SECONDS)
    return time.monotonic() - began


def saved_round(directory: Path) -> int:
    """Return how many finished rounds a state directory holds."""
    state = StateDirectory(directory).load()
    return 0 if state is None else state.metadata.round


def resident_mb(pid: int) -> float:
    """Return how many megabytes of a process are in memory."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]) / 1000


def _summary(rows: list[Row]) -> Row:
    return {
        "alive_in_all": all(row["alive"] == "yes" for row in rows),
        "lowest_rounds_ratio": min(row["rounds_ratio"] for row in rows),
        "longest_newcomer_seconds": max(row["newcomer_seconds"] for row in rows),
        "longest_stop_seconds": max(row["stop_seconds"] for row in rows),
        "largest_growth_mb": max(row["memory_mb_peak"] - row["memory_mb_before"] for row in rows),
        "goals": ", ".join(f"{name} {value:g}" for name, value in GOALS.items()),
    }


if __name__ == "__main__":
    raise SystemExit(main())
