"""A data cap on real daemons: it holds through kill -9, and neighbours do not wait for a node that keeps one."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from dslnode.accounting.data_plan import seconds_left, used_bytes
from dslnode.accounting.ledger import Amounts, Direction, Ledger
from dslnode.accounting.ledger_file import LedgerState, load, pack, save
from dslnode.config.quantities import CapPeriod, parse_cap
from dslnode.transport.client import ask_status
from tests.cluster.processes import NodeProcess, free_port

CAP = "60MB/month"
ROOM = 30_000
"""Bytes that are left for exchanges: three at most, each way a mask of at most 3.6 kB."""
LIVES = 3
ROUNDS = 3


def nearly_used_up(directory: Path) -> None:
    """Write a ledger by which the month's cap is used up, but for keep-alives and ``ROOM``."""
    now, cap = time.time(), parse_cap(CAP)
    ledger = Ledger()
    spent = cap.max_bytes - int(20 * seconds_left(CapPeriod.MONTH, now)) - ROOM
    ledger.book(int(now // 3_600), "others", Direction.SENT, Amounts(transport=spent))
    directory.mkdir()
    save(directory, pack(LedgerState(ledger)))


def test_the_cap_holds_however_often_the_node_is_killed(tmp_path: Path) -> None:
    directory, port, began = tmp_path / "capped", free_port(), time.time()
    nearly_used_up(directory)
    options = ("--peers", f"127.0.0.1:{port}", "--state-dir", str(directory), "--data-cap", CAP, "--share", "2/2")
    with NodeProcess("free", port, "--share", "1/2") as free:
        free.wait_for_event("started")
        for _ in range(LIVES):
            with NodeProcess("capped", free_port(), *options) as capped:
                capped.wait_for_event("neighbour up")
                resumed = [line["round"] for line in capped.log.events if line["event"] == "resumed"]
                capped.wait_for_round(max(resumed, default=0) + ROUNDS)
                reply = ask_status(capped.address, 10.0)
                sent = len(capped.rounds()), reply.usage.exchanges_skipped
                capped.end(signal.SIGKILL)
        moved = ask_status(free.address, 10.0).usage.day_bytes
    assert sent[1] >= sent[0] - 1, "in its last life it had nothing left to spend"
    assert moved <= ROOM + 20 * (time.time() - began)
    assert reply.usage.used_bytes <= reply.usage.cap_bytes == 60_000_000
    state = load(directory)
    assert state is not None
    assert used_bytes(state.ledger, CapPeriod.MONTH, time.time()) + state.reserved <= 60_000_000


def test_neither_side_waits_for_the_other_under_a_cap(tmp_path: Path) -> None:
    """A round that waited would take its deadline, an hour; both do many rounds in much less."""
    directory, port = tmp_path / "capped", free_port()
    nearly_used_up(directory)
    slow = ("--round-deadline", "3600")
    options = ("--peers", f"127.0.0.1:{port}", "--state-dir", str(directory), "--data-cap", CAP, "--share", "2/2")
    with NodeProcess("free", port, "--share", "1/2", *slow) as free:
        free.wait_for_event("started")
        with NodeProcess("capped", free_port(), *options, *slow) as capped:
            capped.wait_for_event("neighbour up")
            capped.wait_for_round(20)
            free.wait_for_round(len(free.rounds()) + 20)
            reply = ask_status(capped.address, 10.0)
    assert reply.usage.exchanges_skipped >= 15
    assert reply.usage.interval_seconds > 60
    assert 0 < reply.usage.forecast_bytes <= reply.usage.cap_bytes
