"""What a testbed is before any of its nodes starts: as many nodes as a user or a file says, and none too many."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from dslnode.cli.testbed_run import Request, graph_of
from dslnode.config.settings import Settings
from dslnode.errors import ExitCode, SettingsError
from dslnode.simulation.edge_file import write_edges
from dslnode.simulation.topology import ring
from tests.cli.test_main import complaint


def request(topology: str, nodes: int | None = None) -> Request:
    return Request(
        settings=Settings(),
        directory=Path("bed"),
        nodes=nodes,
        topology=topology,
        restart=False,
        namespaces=False,
    )


def test_there_are_as_many_nodes_as_is_asked_for_or_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "edges.txt"
    write_edges(file, ring(5))
    assert graph_of(request("ring")) == ring(8)
    assert graph_of(request("ring", 3)) == ring(3)
    assert graph_of(request(str(file))) == graph_of(request(str(file), 5)) == ring(5)
    with pytest.raises(SettingsError, match="give --nodes 5"):
        graph_of(request(str(file), 8))


@pytest.mark.parametrize("count", [1, 257])
def test_a_file_of_too_few_or_too_many_nodes_is_refused(tmp_path: Path, count: int) -> None:
    file = tmp_path / "edges.txt"
    write_edges(file, ring(count))
    with pytest.raises(SettingsError, match=re.escape(f"{file}: has {count} nodes; a testbed has 2 to 256")):
        graph_of(request(str(file)))


@pytest.mark.skipif(sys.platform != "linux", reason="a testbed needs Linux")
def test_more_neighbours_than_a_node_can_have_are_refused_in_one_line(tmp_path: Path) -> None:
    options = ("--nodes", "150", "--topology", "complete", "--dir", str(tmp_path / "bed"))
    assert "a node would have 149 neighbours" in complaint(ExitCode.SETTINGS, "testbed", *options)
    assert not (tmp_path / "bed").exists()
