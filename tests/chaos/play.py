"""Plays a script to a network, and says what it did to the nodes: pure readings of their logs and memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import mean, median

from dslnode.accounting.ledger_file import load
from dslnode.errors import StateError
from dslnode.runtime.checkpoint import StateDirectory
from tests.chaos.boards import Board, Life, Network
from tests.chaos.script import Kill, Part, Start, Step
from tests.chaos.wire import Conditions

TICK = 1.0
LAST_ROUNDS = 10
"""Accuracies of so many rounds are averaged: one round's is noise."""
ORDERLY_UNDER_FAULTS = {"silent", "peer_silent", "slow_handshake", "tls", "too_many", "full", "peer_full"}
"""Why honest nodes may refuse each other on a bad network: too slow, broken off, too many at once."""


def play(network: Network, script: Sequence[Step], conditions: Conditions) -> None:
    """Do what the script says, when it says so."""
    began = time.monotonic()
    network.steering.set(conditions)
    for step in script:
        _watch_until(network, began + step.at)
        match step.act:
            case Kill(node):
                network.boards[node].kill()
            case Start(node):
                network.start(node)
            case Part(apart):
                network.steering.set(replace(conditions, apart=apart))


def _watch_until(network: Network, moment: float) -> None:
    while (left := moment - time.monotonic()) > 0:
        time.sleep(min(TICK, left))
        for board in network.boards:
            board.measure()


def watch_until(network: Network, reached: Callable[[], bool], seconds: float) -> None:
    """Watch the nodes until something holds; fail if it does not within so many seconds, or a node ends by itself."""
    deadline = time.monotonic() + seconds
    while not reached():
        for board in network.boards:
            assert board.running, f"a daemon ended by itself:\n{board.life.process.log.tail()}"
        assert time.monotonic() < deadline, f"not reached in {seconds} s: rounds {[rounds_of(network)]}"
        _watch_until(network, time.monotonic() + TICK)


def rounds_of(network: Network) -> list[int]:
    """Return the last finished round of each node."""
    return [max(life.last_round for life in board.lives) for board in network.boards]


def accuracy(boards: Iterable[Board]) -> float:
    """Return the mean held-out accuracy of the nodes in their last rounds, in percent."""
    return 100 * mean(mean(_accuracies(board)[-LAST_ROUNDS:]) for board in boards)


def _accuracies(board: Board) -> list[float]:
    return [float(line["accuracy"]) for life in board.lives for line in life.events("round")]


def lost_rounds(board: Board) -> list[int]:
    """Return how many finished rounds each restart of a board lost; all of them if it logged no ``resumed``."""
    lost, finished = [], 0
    for life in board.lives:
        resumed = life.events("resumed")
        if resumed or life.events("started"):
            lost.append(finished - (resumed[0]["round"] if resumed else 0))
        finished = max(finished, life.last_round)
    return lost


def growth(life: Life, seconds: float) -> int:
    """Return the bytes by which memory grew in a process's second half; 0 if it learned for less than ``seconds``."""
    if not life.memory or life.memory[-1][0] - life.memory[0][0] < seconds:
        return 0
    later = [size for _, size in life.memory][len(life.memory) // 2 :]
    quarter = len(later) // 4
    return int(median(later[-quarter:]) - median(later[:quarter])) if quarter else 0


def complaints(board: Board) -> list[str]:
    """Return what no network fault explains: unexpected output, errors, refusals."""
    found = [line for life in board.lives for line in life.process.log.other_lines]
    for line in (line for life in board.lives for line in list(life.process.log.events)):
        refused = line["event"] == "neighbour refused" and line["reason"] not in ORDERLY_UNDER_FAULTS
        if line["level"] == "error" or refused:
            found.append(str(line))
    return found


def damaged_files(board: Board) -> list[str]:
    """Return what of a board's state directory cannot be read as it was written, now or at an earlier restart."""
    found = [str(path) for path in board.state.glob("*.damaged")]
    for read in (StateDirectory(board.state).load, lambda: load(board.state)):
        try:
            read()
        except StateError as error:
            found.append(str(error))
    return found
