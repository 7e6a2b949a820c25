"""Sends raw sessions to a live daemon, and checks that it lives, answers, learns on and does not grow."""

from __future__ import annotations

import contextlib
import random
import socket
import time
from dataclasses import dataclass

from dslnode.transport.client import ask_status
from tests.cluster.processes import NodeProcess, resident
from tests.fuzz.http2 import session

ANSWER_SECONDS = 0.02
WARM = 300
"""Sessions after which memory is compared: gRPC's pools and threads are there by then."""


@dataclass(frozen=True)
class Outcome:
    """How many sessions and bytes were sent, and how far the daemon's memory grew after the first ``WARM`` sessions."""

    sessions: int
    sent_bytes: int
    grown: int


def attack(node: NodeProcess, seed: int, sessions: int, seconds: float) -> Outcome:
    """Send sessions until the count or the time is over."""
    chance, began = random.Random(seed), time.monotonic()
    done, sent, before = 0, 0, resident(node.pid)
    while done < sessions and time.monotonic() - began < seconds:
        sent += _send(node.address, session(chance))
        done += 1
        if done == WARM:
            before = resident(node.pid)
    return Outcome(done, sent, resident(node.pid) - before)


def check_alive(node: NodeProcess) -> None:
    """Raise ``AssertionError`` unless the daemon answers, finishes rounds, and wrote nothing but its log."""
    reached = ask_status(node.address, 30.0).round
    node.wait_for_round(reached + 2)
    assert not node.log.other_lines, node.log.tail()
    assert not [line for line in node.log.events if line["level"] == "error"], node.log.tail()


def _send(address: str, pieces: list[bytes]) -> int:
    host, _, port = address.rpartition(":")
    sent = 0
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=10) as client:
        for piece in pieces:
            client.sendall(piece)
            sent += len(piece)
        client.settimeout(ANSWER_SECONDS)
        while client.recv(65_536):
            pass
    return sent
