"""One real daemon with a hundred neighbours, all of them whole daemons, ten to a process: memory stays bounded."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from dslnode.cli.daemon_process import clean_environment
from tests.cluster.processes import NodeProcess, free_port, resident

NEIGHBOURS, TOGETHER = 100, 10
SETTLED, WATCHED = 20, 40
"""Rounds from all neighbours' first masks until memory is first looked at, and from then until the last look."""
SECONDS = 300.0
A_NEIGHBOUR = 512 << 10
"""Bytes: what edges hold of the digits' mlp is 80 kB, the rest is gRPC's and Python's."""
DRIFT = 6 << 20
"""Bytes by which a daemon may seem to grow: what allocator and caches do by themselves."""

pytestmark = pytest.mark.chaos


@contextlib.contextmanager
def crowd(address: str) -> Iterator[None]:
    """Run daemons that all dial the address, until the block is left."""
    command = [sys.executable, "-m", "tests.cluster.crowd", address]
    parts = [
        subprocess.Popen([*command, str(first), str(TOGETHER)], env=clean_environment())
        for first in range(0, NEIGHBOURS, TOGETHER)
    ]
    try:
        yield
    finally:
        for part in parts:
            part.kill()
            part.wait()


def all_heard(hub: NodeProcess, first: int) -> int:
    """Return the first round, from ``first`` on, in which masks of all neighbours were used."""
    found: int = hub.wait_for(lambda line: line.get("masks") == NEIGHBOURS and line["round"] >= first, SECONDS)["round"]
    return found


def test_a_hundred_neighbours_cost_little_memory_each_and_no_more_with_time() -> None:
    options = ("--max-neighbours", "100", "--max-lead", "3", "--share", "100/100", "--evaluate-every", "1000")
    with NodeProcess("hub", free_port(), *options) as hub:
        hub.wait_for_round(5)
        alone = resident(hub.pid)
        with crowd(hub.address):
            begun = all_heard(hub, 0)
            settled_at = all_heard(hub, begun + SETTLED)
            settled = resident(hub.pid)
            all_heard(hub, settled_at + WATCHED)
            grown = resident(hub.pid)
    each, more = (settled - alone) / NEIGHBOURS / 1024, (grown - settled) / 2**20
    print(f"alone {alone >> 20} MiB, {each:.0f} KiB a neighbour, {more:.1f} MiB more {WATCHED} rounds later")
    assert settled - alone <= NEIGHBOURS * A_NEIGHBOUR
    assert grown - settled <= DRIFT
