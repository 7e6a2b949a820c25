"""The demo's nodes, forked and started: they learn together, and a node that fails is named with its last words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dslnode.cli.daemon_process import clean_environment
from dslnode.cli.demo_nodes import Plan, plan_nodes
from dslnode.cli.testbed_log import latest_round

WAYS = (pytest.param("run_forked", marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux")), "run_started")
SCRIPT = """
import sys
from pathlib import Path
from dslnode.cli import demo_nodes
shown = []
nodes = demo_nodes.plan_nodes(Path(sys.argv[2]), demo_nodes.Plan(2, 3, "digits", "classes:6", 3, model=sys.argv[3]))
try:
    getattr(demo_nodes, sys.argv[1])(nodes, lambda: shown.append(1))
except demo_nodes.DslnodeError as error:
    print("failed:", error)
print("shown" if shown else "not shown")
"""


def run(way: str, directory: Path, model: str) -> str:
    """Run the demo's nodes in a process of their own, which may fork; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, way, str(directory), model],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=clean_environment(),
    )
    return done.stdout


@pytest.mark.parametrize("way", WAYS)
def test_both_ways_run_all_rounds_with_neighbours(way: str, tmp_path: Path) -> None:
    assert run(way, tmp_path, "mlp") == "shown\n"
    logs = [tmp_path / f"node-{number}" / "log" for number in (1, 2)]
    assert [latest_round(log)["round"] for log in logs] == [3, 3]
    assert all("neighbour up" in log.read_text(encoding="utf-8") for log in logs)
    assert not list(tmp_path.glob("*/pid"))


@pytest.mark.parametrize("way", WAYS)
def test_a_node_that_fails_is_named_with_the_reason(way: str, tmp_path: Path) -> None:
    said = run(way, tmp_path, "cnn1d")
    assert said.startswith("failed: node-")
    assert all(f"node-{number}" in said for number in (1, 2))
    assert "cnn1d needs series" in said


def test_nodes_without_links_have_the_same_data_and_no_peer(tmp_path: Path) -> None:
    together = plan_nodes(tmp_path / "together", Plan(3, 1, "digits", "classes:6", 3))
    alone = plan_nodes(tmp_path / "alone", Plan(3, 1, "digits", "classes:6", 3, linked=False))
    assert [len(node.settings.peers) for node in together] == [2, 2, 2]
    assert [node.settings.peers for node in alone] == [(), (), ()]
    assert [node.settings.share for node in together] == [node.settings.share for node in alone]
