"""The live view: its keys, and the whole of it with real nodes in a real terminal."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dslnode.cli.crawler import NetworkSnapshot, SeenNode
from dslnode.cli.testbed import clean_environment, command_line
from dslnode.cli.top import Nodes, NodeScreen, Top
from dslnode.v1 import node_pb2 as pb
from tests.cluster.processes import NodeProcess, free_port
from tests.terminal import Terminal


def node(number: int, accuracy: float) -> SeenNode:
    reply = pb.StatusReply(name=f"board-{number}", node_id=f"{number:02}", round=number, accuracy=accuracy)
    return SeenNode(reply.node_id, reply.name, f"10.0.0.{number}:7711", reply)


LOST = SeenNode("09", "board-9", "10.0.0.9:7711", None, (("01", pb.NeighbourStatus(name="board-9")),), "no answer")
PICTURE = NetworkSnapshot("greenhouse", (node(1, 0.7), node(2, 0.9), node(3, 0.8), LOST), frozenset({("01", "02")}))


def names(app: Top) -> list[str]:
    table = app.screen_stack[0].query_one(Nodes)
    return [table.get_row_at(index)[0].plain for index in range(table.row_count)]


async def test_keys_sort_reverse_open_and_go_back() -> None:
    app = Top("10.0.0.1:7711", lambda _: PICTURE)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.2)
        assert names(app) == ["board-1", "board-2", "board-3", "board-9"]
        await pilot.press("s", "s", "s")
        assert names(app) == ["board-1", "board-3", "board-2", "board-9"]
        await pilot.press("r")
        assert names(app) == ["board-2", "board-3", "board-1", "board-9"]
        assert app.screen.query_one(Nodes).cursor_row == 2, "the cursor stays on its node"
        await pilot.press("enter")
        assert isinstance(app.screen, NodeScreen)
        await pilot.press("escape")
        assert not isinstance(app.screen, NodeScreen)
        await pilot.press("q")
    assert app.return_code == 0


async def test_when_nobody_answers_any_more_the_last_picture_stays_and_it_says_so() -> None:
    pictures = iter([PICTURE])
    app = Top("10.0.0.1:7711", lambda _: next(pictures, NetworkSnapshot("", (), frozenset())))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.2)
        app._take(NetworkSnapshot("", (), frozenset()))
        await pilot.pause()
        assert len(names(app)) == 4
        assert app.picture is PICTURE


@pytest.fixture
def chain() -> Iterator[list[NodeProcess]]:
    """Three nodes in a line: the first knows the second only, the second the third."""
    ports = [free_port() for _ in range(3)]
    nodes = []
    for index, port in enumerate(ports):
        peers = ["--peers", f"127.0.0.1:{ports[index + 1]}"] if index < 2 else []
        peers += ["--max-neighbours", "0"]  # or all three would soon be linked
        options = ["--advertise", f"127.0.0.1:{port}", "--local-steps", "1", "--samples-per-class", "5", *peers]
        nodes.append(NodeProcess(f"board-{index + 1}", port, *options))
    try:
        for one in nodes:
            one.wait_for_event("neighbour up")
        yield nodes
    finally:
        for one in nodes:
            one.__exit__(None, None, None)


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_real_nodes_in_a_real_terminal(chain: list[NodeProcess], tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "tmux", command_line("top", "--address", chain[0].address))
    try:
        shown = terminal.wait_for("board-1", "board-2", "board-3", "3 nodes, 3 answer, 2 links", "bit", "q Quit")
        assert all(len(line) <= 80 for line in shown.splitlines())
        terminal.press("s")
        terminal.wait_for("by state")
        terminal.press("r")
        terminal.wait_for("by state ▼")
        terminal.press("Enter")
        terminal.wait_for("density", "weights kept, by layer", "esc Back")
        terminal.press("Escape")
        terminal.wait_for("q Quit", "3 nodes")
        chain[0].end(signal.SIGTERM)
        terminal.wait_for("board-2", "board-3", "2 answer")
        terminal.press("q")
        assert terminal.has_ended()
    finally:
        terminal.close()


def test_scripts_get_the_network_as_json_from_any_node(chain: list[NodeProcess]) -> None:
    found = [
        subprocess.run(
            command_line("top", "--json", "--address", one.address),
            capture_output=True,
            env={**os.environ, **clean_environment()},
            timeout=60,
            check=True,
        )
        for one in (chain[0], chain[2])
    ]
    for done in found:
        told = json.loads(done.stdout)
        assert [one["name"] for one in told["nodes"]] == ["board-1", "board-2", "board-3"]
        assert len(told["links"]) == 2
