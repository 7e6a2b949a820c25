"""The live view: its keys, and the whole of it with real nodes in a real terminal."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dslnode.cli import top
from dslnode.cli.crawler import CrawledNode, NetworkSnapshot
from dslnode.cli.daemon_process import clean_environment, command_line
from dslnode.cli.top_app import NodeScreen, NodeTable, TopApp
from dslnode.errors import SettingsError
from dslnode.v1 import node_pb2 as pb
from tests.cluster.processes import NodeProcess, free_port
from tests.terminal import Terminal


def node(number: int, accuracy: float) -> CrawledNode:
    reply = pb.StatusReply(name=f"board-{number}", node_id=f"{number:02}", round=number, accuracy=accuracy)
    return CrawledNode(reply.node_id, reply.name, f"10.0.0.{number}:7711", reply)


LOST = CrawledNode("09", "board-9", "10.0.0.9:7711", None, (("01", pb.NeighbourStatus(name="board-9")),), "no answer")
SNAPSHOT = NetworkSnapshot("greenhouse", (node(1, 0.7), node(2, 0.9), node(3, 0.8), LOST), frozenset({("01", "02")}))


def names(app: TopApp) -> list[str]:
    table = app.screen_stack[0].query_one(NodeTable)
    return [table.get_row_at(index)[0].plain for index in range(table.row_count)]


async def test_keys_sort_reverse_open_and_go_back() -> None:
    app = TopApp("10.0.0.1:7711", lambda _: SNAPSHOT)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.2)
        assert names(app) == ["board-1", "board-2", "board-3", "board-9"]
        await pilot.press("s", "s", "s")
        assert names(app) == ["board-1", "board-3", "board-2", "board-9"]
        await pilot.press("r")
        assert names(app) == ["board-2", "board-3", "board-1", "board-9"]
        assert app.screen.query_one(NodeTable).cursor_row == 2, "the cursor stays on its node"
        await pilot.press("enter")
        assert isinstance(app.screen, NodeScreen)
        await pilot.press("escape")
        assert not isinstance(app.screen, NodeScreen)
        await pilot.press("q")
    assert app.return_code == 0


async def test_when_no_node_answers_any_more_the_last_snapshot_stays() -> None:
    snapshots = iter([SNAPSHOT])
    app = TopApp("10.0.0.1:7711", lambda _: next(snapshots, NetworkSnapshot("", (), frozenset())))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.2)
        app._show(NetworkSnapshot("", (), frozenset()))
        await pilot.pause()
        assert len(names(app)) == 4
        assert app.snapshot is SNAPSHOT


def test_without_textual_the_error_names_the_extra_and_json_still_works(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "textual" or name.endswith(".top_app")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "textual", None)
    monkeypatch.setattr(top, "ask_status", lambda *_, **__: pb.StatusReply(name="board-1", node_id="01"))
    for stream in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True)
    with pytest.raises(SettingsError, match=r"needs the package textual; .*pip install 'dslnode\[tui\]'"):
        top.show_network("127.0.0.1:7711", as_json=False, timeout=1)
    top.show_network("127.0.0.1:7711", as_json=True, timeout=1)
    assert json.loads(capsys.readouterr().out)["nodes"][0]["name"] == "board-1"


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
        for process in nodes:
            process.wait_for_event("neighbour up")
        yield nodes
    finally:
        for process in nodes:
            process.__exit__(None, None, None)


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_real_nodes_in_a_real_terminal(chain: list[NodeProcess], tmp_path: Path) -> None:
    terminal = Terminal(tmp_path / "tmux", command_line("top", "--address", chain[0].address))
    try:
        screen = terminal.wait_for("board-1", "board-2", "board-3", "3 nodes, 3 answer, 2 links", "bit", "q Quit")
        assert all(len(line) <= 80 for line in screen.splitlines())
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
    outputs = [
        subprocess.run(
            command_line("top", "--json", "--address", process.address),
            capture_output=True,
            env={**os.environ, **clean_environment()},
            timeout=60,
            check=True,
        )
        for process in (chain[0], chain[2])
    ]
    for done in outputs:
        result = json.loads(done.stdout)
        assert [node["name"] for node in result["nodes"]] == ["board-1", "board-2", "board-3"]
        assert len(result["links"]) == 2
