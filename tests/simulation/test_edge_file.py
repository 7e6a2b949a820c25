"""A graph as a file: written and read back, with as many nodes as it says, and what is wrong named by its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from dslnode.errors import SettingsError
from dslnode.simulation.edge_file import read_edges, write_edges
from dslnode.simulation.topology import topology_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "edges.txt"


def test_edges_are_written_and_read_back(file: Path) -> None:
    graph = topology_of("erdos:4", 15, 2)
    write_edges(file, graph)
    assert read_edges(file) == read_edges(file, 15) == graph


def test_nodes_without_an_edge_are_read_back(file: Path) -> None:
    graph = ((1,), (0,), (), ())
    write_edges(file, graph)
    assert read_edges(file) == graph
    write_edges(file, ((), ()))
    assert read_edges(file) == ((), ())


def test_without_a_first_line_the_largest_number_says_how_many_nodes_there_are(file: Path) -> None:
    file.write_text("0 1  # the first\n\n4 2\n")
    assert read_edges(file) == ((1,), (0,), (4,), (), (2,))
    assert len(read_edges(file, 9)) == 9, "as asked: further nodes have no edge"


@pytest.mark.parametrize(
    ("content", "count", "said"),
    [
        ("# 3 nodes\n0 1\n", 20, "of 3 nodes, not 20; give --nodes 3"),
        ("# 30 nodes\n0 1\n", 20, "of 30 nodes, not 20; give --nodes 30"),
        ("0 1\n0 24\n", 20, "of 25 nodes, not 20; give --nodes 25"),
        ("# 3 nodes\n0 1\n1 3\n0 2\n", None, "line 3: has node 3, but the first line says 3 nodes"),
        ("", None, "has no edge"),
        ("# mine\n\n", 5, "has no edge"),
        ("# 0 nodes\n", None, "line 1: says 0 nodes; 1 to 100,000"),
        ("# 99999999999 nodes\n", None, "line 1: says 99999999999 nodes"),
    ],
)
def test_a_number_of_nodes_that_does_not_fit_is_refused(file: Path, content: str, count: int | None, said: str) -> None:
    file.write_text(content)
    with pytest.raises(SettingsError, match=said):
        read_edges(file, count)


@pytest.mark.parametrize("line", ["0", "0 1 2", "0 0", "0 100000", "-1 2", "a b", "0 99999999999"])
def test_a_line_that_is_no_edge_is_named(file: Path, line: str) -> None:
    file.write_text(f"# five nodes\n0 1\n{line}\n")
    with pytest.raises(SettingsError, match=r"line 3: needs two different node numbers from 0 to 99999"):
        read_edges(file, 5)


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        read_edges(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_edges(tmp_path / "none")
