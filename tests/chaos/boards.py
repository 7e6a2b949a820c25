"""Real daemons on boards of their own: each in a network namespace, with a ticket and a state directory, followed."""

from __future__ import annotations

import contextlib
import json
import signal
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.namespaces import entered, made
from tests.chaos.switch import Steering, switched
from tests.cluster.processes import NodeProcess, resident
from tests.networks import Operator

PORT = 7711
METRICS = "127.0.0.1:9464"
NETWORK = "10.93.17"
LEARNING = (
    *("--samples-per-class", "12", "--local-steps", "10", "--evaluate-every", "1"),
    *("--round-deadline", "3", "--metrics", METRICS),
)
CHECKPOINTS = (1, 3)
"""Rounds between two checkpoints, board after board."""


@dataclass
class Life:
    """One process of a board, and the memory it took from its first finished round on (seconds since birth, bytes)."""

    process: NodeProcess
    began: float = field(default_factory=time.monotonic)
    memory: list[tuple[float, int]] = field(default_factory=list)

    def events(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of one event so far."""
        return [line for line in list(self.process.log.events) if line["event"] == event]

    @property
    def last_round(self) -> int:
        """The last round that it said is finished; 0 if none."""
        return max((line["round"] for line in self.events("round")), default=0)


class Board:
    """A place in the network where a daemon lives, dies, and lives again."""

    def __init__(self, index: int, namespace: str, ticket: Path, state: Path, peers: Sequence[str]) -> None:
        self.index = index
        self.state = state
        self.checkpoint_every = CHECKPOINTS[index % len(CHECKPOINTS)]
        self.namespace = namespace
        self.address = f"{address_of(index)}:{PORT}"
        self.lives: list[Life] = []
        self._options = (
            *("--ticket", str(ticket), "--state-dir", str(state), "--peers", ",".join(peers)),
            *("--checkpoint-every", str(self.checkpoint_every)),
        )

    @property
    def life(self) -> Life:
        """The newest process of the board."""
        return self.lives[-1]

    @property
    def running(self) -> bool:
        """Whether there is a daemon now that was not killed."""
        return bool(self.lives) and self.life.process.running

    def start(self, share: str) -> None:
        """Start a process of the board."""
        self.lives.append(
            Life(
                NodeProcess(
                    *(f"board-{self.index}", PORT, *self._options, *LEARNING, "--share", share),
                    host="0.0.0.0",
                    within=("ip", "netns", "exec", self.namespace),
                )
            )
        )

    def kill(self) -> None:
        """Kill the process."""
        self.life.process.end(signal.SIGKILL)

    def close(self) -> None:
        """Kill all processes that still run."""
        for life in self.lives:
            with life.process:
                pass

    def status(self) -> dict[str, Any]:
        """Ask the daemon for its status, from inside its namespace."""
        with entered(self.namespace), urllib.request.urlopen(f"http://{METRICS}/status.json", timeout=20) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def measure(self) -> None:
        """Note how much memory the daemon takes now, once it learns."""
        life = self.life
        if not life.last_round:
            return
        with contextlib.suppress(OSError, StopIteration):  # it may just have died
            life.memory.append((time.monotonic() - life.began, resident(life.process.pid)))


@dataclass(frozen=True)
class Network:
    """Boards on one switch."""

    boards: list[Board]
    steering: Steering

    def start(self, index: int) -> None:
        """Start a board's process; the board keeps its share of the data."""
        self.boards[index].start(f"{index + 1}/{len(self.boards)}")

    def linked(self) -> list[set[str]]:
        """Return the components of the network, as sets of names, by what the boards' statuses say of their links."""
        components: list[set[str]] = []
        for board in self.boards:
            status = board.status()
            reached = {status["name"], *(one["name"] for one in status["neighbours"] if one["connected"])}
            touched = [component for component in components if component & reached]
            components = [one for one in components if one not in touched] + [reached.union(*touched)]
        return components


@contextlib.contextmanager
def networked(directory: Path, count: int, seed: int) -> Iterator[Network]:
    """Give a test boards on a perfect network; no daemon runs yet. All is gone afterwards."""
    operator = Operator(directory / "authority")
    with made(count) as namespaces, contextlib.ExitStack() as ending:
        places = [(name, f"{address_of(index)}/24") for index, name in enumerate(namespaces)]
        steering = ending.enter_context(switched(seed, places))
        boards = []
        for index, namespace in enumerate(namespaces):
            peers = [f"{address_of((index + step) % count)}:{PORT}" for step in (1, 2)]
            ticket = operator.ticket(f"board-{index}")
            boards.append(Board(index, namespace, ticket, directory / f"state-{index}", peers))
            ending.callback(boards[-1].close)
        yield Network(boards, steering)


def address_of(index: int) -> str:
    """Return the address of a board, in its namespace only."""
    return f"{NETWORK}.{index + 1}"
