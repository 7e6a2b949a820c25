"""``dslnode doctor`` asks a peer in another network namespace to dial back: open, while the node runs, and filtered."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dslnode.cli.daemon_process import clean_environment, command_line
from tests.chaos import namespaces
from tests.cluster.processes import NodeProcess
from tests.networks import Operator

PORT = 7711
PEER, BOARD = "10.9.8.1", "10.9.8.2"
WAIT = 120.0


def missing() -> str | None:
    if os.geteuid() != 0:
        return "needs root, to make network namespaces"
    return next((f"needs {tool}" for tool in ("ip", "nft") if shutil.which(tool) is None), None)


pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")


def within(namespace: str) -> tuple[str, ...]:
    return ("ip", "netns", "exec", namespace)


def do(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT, check=False, env=clean_environment())
    assert done.returncode in {0, 7}, done.stderr
    return done.stdout


@pytest.fixture
def two() -> Iterator[tuple[str, str]]:
    """Two namespaces with a wire between them."""
    with namespaces.made(2) as (one, other):
        do("ip", "-n", one, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", other)
        for name, address in ((one, PEER), (other, BOARD)):
            do("ip", "-n", name, "address", "add", f"{address}/24", "dev", "wire")
            do("ip", "-n", name, "link", "set", "wire", "up")
        yield one, other


def reach(namespace: str, *options: str) -> list[dict[str, Any]]:
    """Return what the doctor of the board in a namespace finds of its reach; without data it tries no learning.

    A peer dials back once in two seconds for each host, and says so: then it is asked again, as it says.
    """
    given = ("--listen", f"0.0.0.0:{PORT}", "--peers", f"{PEER}:{PORT}", "--metrics", "off", "--data", "idx:/absent")
    deadline = time.monotonic() + WAIT
    while True:
        result = json.loads(do(*within(namespace), *command_line("doctor", "--json", *given, *options)))
        found = [finding for finding in result["findings"] if finding["check"] == "reach"]
        if not any("ask again" in finding["what"] for finding in found) or time.monotonic() > deadline:
            return found


def drop(namespace: str) -> None:
    rules = f"table inet walls {{\nchain in {{\ntype filter hook input priority 0\ntcp dport {PORT} drop\n}}\n}}"
    do(*within(namespace), "nft", rules)


def test_dial_back_before_the_node_starts(two: tuple[str, str]) -> None:
    """Before the node starts: doctor holds its port open."""
    peers, boards = two
    with NodeProcess("board-1", PORT, "--insecure", host=PEER, within=within(peers)) as peer:
        peer.wait_for_event("started")
        [found] = reach(boards, "--insecure")
        assert (found["level"], found["what"]) == ("ok", f"board-1 reached us at {BOARD}:{PORT}")
        drop(boards)
        [found] = reach(boards, "--insecure")
    assert found["level"] == "warning"
    assert found["what"] == f"board-1 could not reach port {PORT} at {BOARD}: no answer within 3 s"
    assert "full neighbour" in found["fix"]


def test_dial_back_with_tickets_while_the_node_runs(two: tuple[str, str], tmp_path: Path) -> None:
    peers, boards = two
    operator = Operator(tmp_path / "authority")
    mine, theirs = (("--ticket", str(operator.ticket(name))) for name in ("board-2", "board-1"))
    with (
        NodeProcess("board-1", PORT, *theirs, host=PEER, within=within(peers)) as peer,
        NodeProcess("board-2", PORT, *mine, host="0.0.0.0", within=within(boards)) as node,
    ):
        peer.wait_for_event("started")
        node.wait_for_event("started")
        [found] = reach(boards, *mine)
        refused = node.wait_for_event("neighbour refused")
    assert (found["level"], found["what"]) == ("ok", f"board-1 reached us at {BOARD}:{PORT}")
    assert refused["reason"] == "tls", "whoever dials back goes without a word, as a port scan does"
