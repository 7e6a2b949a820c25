"""How soon a killed node contributes again, its death is noticed, and a newcomer with one address takes part."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cluster.processes import NodeProcess, free_port

LIFE = ("--local-steps", "30", "--samples-per-class", "3", "--evaluate-every", "1000", "--round-deadline", "2")
CONTRIBUTES_SECONDS, NOTICED_SECONDS, JOINED_SECONDS = 10.0, 10.0, 5.0

pytestmark = pytest.mark.chaos


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[list[NodeProcess], ExitStack, list[str]]]:
    """Give a test two linked nodes, and how to start the second one again."""
    ports = [free_port(), free_port()]
    again = ["--peers", f"127.0.0.1:{ports[0]}", "--state-dir", str(tmp_path / "state"), "--share", "2/3", *LIFE]
    with ExitStack() as running:
        first = running.enter_context(NodeProcess("first", ports[0], "--share", "1/3", *LIFE))
        second = running.enter_context(NodeProcess("second", ports[1], *again))
        contributed(first, "")
        yield [first, second], running, again


def now() -> str:
    """Return the time as the log writes it."""
    return datetime.now(UTC).isoformat()


def contributed(node: NodeProcess, since: str) -> None:
    """Wait until a node has used a neighbour's mask in a round that ended after some time."""
    node.wait_for(lambda line: line["event"] == "round" and line["masks"] >= 1 and line["timestamp"] > since)


def test_death_is_noticed_and_a_killed_node_contributes_again_in_ten_seconds(
    pair: tuple[list[NodeProcess], ExitStack, list[str]],
) -> None:
    (first, second), running, again = pair
    before, killed = now(), time.monotonic()
    second.end(signal.SIGKILL)
    first.wait_for_event("neighbour down", neighbour="second")
    noticed = time.monotonic() - killed
    running.enter_context(NodeProcess("second", int(second.address.rpartition(":")[2]), *again))
    first.wait_for(lambda line: line["event"] == "neighbour up" and line["timestamp"] > before)
    contributed(first, now())
    took = time.monotonic() - killed
    print(f"death noticed after {noticed:.2f} s, contributing again after {took:.2f} s")
    assert noticed <= NOTICED_SECONDS
    assert took <= CONTRIBUTES_SECONDS


def test_a_newcomer_with_one_address_takes_part_in_five_seconds(
    pair: tuple[list[NodeProcess], ExitStack, list[str]],
) -> None:
    (first, _), running, _ = pair
    began = time.monotonic()
    third = running.enter_context(
        NodeProcess("third", free_port(), "--peers", first.address, "--share", "3/3", *LIFE),
    )
    third.wait_for_event("started")
    started = time.monotonic() - began
    third.wait_for(lambda line: line["event"] == "round" and line["masks"] >= 1)
    took = time.monotonic() - began
    print(f"started after {started:.2f} s, takes part after {took:.2f} s")
    assert took - started <= JOINED_SECONDS
