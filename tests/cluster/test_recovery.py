"""How soon a killed node contributes again, its death is noticed, and a newcomer with one address takes part."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster.processes import NodeProcess, free_port

LIFE = ("--local-steps", "30", "--samples-per-class", "3", "--evaluate-every", "1000", "--round-deadline", "2")
UNDISTURBED = ("setsid", "sh", "-c", 'echo -20 >/proc/self/autogroup; exec nice -n -20 "$@"', "sh")
"""Where root may, what else this machine does is not measured: Linux shares processors between sessions first."""
CONTRIBUTES_SECONDS, NOTICED_SECONDS, JOINED_SECONDS = 10.0, 10.0, 5.0

pytestmark = pytest.mark.chaos


Pair = tuple[list[NodeProcess], ExitStack, list[str]]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Give a test two linked nodes, and how to start the second one again."""
    ports = [free_port(), free_port()]
    first, second = (f"127.0.0.1:{port}" for port in ports)
    again = ["--peers", first, "--advertise", second, "--state-dir", str(tmp_path / "state"), "--share", "2/3"]
    with ExitStack() as running:
        nodes = [
            running.enter_context(start("first", ports[0], "--share", "1/3", "--advertise", first)),
            running.enter_context(start("second", ports[1], *again)),
        ]
        used(nodes[0], 1, since="")
        yield nodes, running, again


def start(name: str, port: int, *options: str) -> NodeProcess:
    """Start a node that other work of this machine disturbs as little as can be had."""
    return NodeProcess(name, port, *options, *LIFE, within=UNDISTURBED if os.geteuid() == 0 else ())


def used(node: NodeProcess, masks: int, since: str) -> None:
    """Wait until a node has used masks of so many neighbours in a round that ended after some time."""
    node.wait_for(lambda line: line["event"] == "round" and line["masks"] >= masks and line["timestamp"] > since)


def test_death_is_noticed_and_a_killed_node_contributes_again_in_ten_seconds(pair: Pair) -> None:
    """It contributes when the other has finished a round after the one in which it heard the new life's first mask."""
    (first, second), running, again = pair
    killed = time.monotonic()
    second.end(signal.SIGKILL)
    first.wait_for_event("neighbour down", neighbour="second")
    noticed = time.monotonic() - killed
    reborn = running.enter_context(start("second", int(second.address.rpartition(":")[2]), *again))
    reborn.wait_for_event("started")
    started = time.monotonic() - killed
    spoke = reborn.wait_for(lambda line: line["event"] == "round" and line["masks"] >= 1)
    used(first, 1, since=spoke["timestamp"])
    took = time.monotonic() - killed
    print(f"death noticed after {noticed:.2f} s, up after {started:.2f} s, contributing again after {took:.2f} s")
    assert noticed <= NOTICED_SECONDS
    assert took <= CONTRIBUTES_SECONDS


def test_a_new_node_with_one_address_is_linked_with_all_and_takes_part_in_five_seconds(pair: Pair) -> None:
    (first, _), running, _ = pair
    began = time.monotonic()
    third = running.enter_context(start("third", free_port(), "--peers", first.address, "--share", "3/3"))
    third.wait_for_event("started")
    started = time.monotonic() - began
    for neighbour in ("first", "second"):
        third.wait_for_event("neighbour up", neighbour=neighbour)
    third.wait_for(lambda line: line["event"] == "round" and line["masks"] >= 2)
    used(first, 2, since="")
    took = time.monotonic() - began
    print(f"up after {started:.2f} s, {took - started:.2f} s later linked with all and heard by all")
    assert took - started <= JOINED_SECONDS
