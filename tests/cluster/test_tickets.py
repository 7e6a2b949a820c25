"""Real daemons with tickets: strangers try to connect while a node learns with a neighbour, which is then revoked."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

from tests.cluster.processes import NodeProcess, free_port
from tests.networks import DAY, NOW, Operator

LIFE = ("--local-steps", "1", "--samples-per-class", "3", "--evaluate-every", "1000", "--round-deadline", "1")


def member(operator: Operator, ticket: Path, port: int, *options: str) -> NodeProcess:
    name = ticket.name.removesuffix(".ticket")
    given = ("--ticket", str(ticket), "--revoked", str(operator.revoked))
    return NodeProcess(name, port, *given, *LIFE, *options)


def metric(port: int, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        found = re.search(rf"^{re.escape(name)} (\S+)$", answer.read().decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_a_network_of_tickets_admits_no_others(operator: Operator, tmp_path: Path) -> None:
    port, scrape = free_port(), free_port()
    peer = ("--peers", f"127.0.0.1:{port}")
    idle = (*peer, "--wait-for-peers", "3600")
    other = Operator(tmp_path / "other").ticket("stranger")
    late = operator.ticket("late", NOW - 90 * DAY, days=89)
    host = member(operator, operator.ticket("host"), port, "--metrics", f"127.0.0.1:{scrape}")
    with host, member(operator, operator.ticket("board"), free_port(), *peer) as board:
        host.wait_for_event("neighbour up", neighbour="board")
        board.wait_for_round(2)
        with (
            NodeProcess("plain", free_port(), *idle) as plain,
            NodeProcess("stranger", free_port(), "--ticket", str(other), *idle) as stranger,
            member(operator, late, free_port(), *idle) as expired,
        ):
            for process in (plain, stranger, expired):
                process.wait_for_event("neighbour not reached")
            expired.wait_for_event("ticket")
            for reason in ("plaintext", "expired"):
                host.wait_for_event("neighbour refused", reason=reason)
        operator.renew("host", NOW + DAY)
        host.wait_for_event("credentials reloaded")
        ends = metric(scrape, "dslnode_certificate_expiry_timestamp_seconds")
        assert ends == (NOW + 91 * DAY).timestamp()
        operator.authority.revoke("board", NOW)
        host.wait_for_event("connection cut", neighbour="board", reason="revoked")
        host.wait_for_event("neighbour refused", reason="revoked")
        counted = {
            reason: metric(scrape, f'dslnode_messages_refused_total{{reason="{reason}"}}')
            for reason in ("plaintext", "expired", "revoked")
        }
        assert all(count >= 1 for count in counted.values()), counted
        lines = [line["reason"] for line in host.log.events if line["event"] == "neighbour refused"]
        assert len(lines) == len(set(lines)), "each is logged once, however often it tries"
        assert not [
            line for line in host.log.events if line["event"] == "neighbour up" and line["neighbour"] != "board"
        ]
    assert not host.log.other_lines, host.log.tail()
