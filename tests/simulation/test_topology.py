"""Graphs of simulated networks: drawn alike from a seed, connected, and read back from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dslnode.errors import SettingsError
from dslnode.simulation import topology


def test_the_drawn_graph_is_connected_symmetric_and_of_the_right_density() -> None:
    drawn = [topology.erdos_renyi(20, seed) for seed in range(30)]
    assert all(topology.is_connected(graph) for graph in drawn)
    assert all(i in graph[j] and j != i for graph in drawn for i, around in enumerate(graph) for j in around)
    mean_degree = np.mean([topology.link_count(graph) / 20 for graph in drawn])
    assert mean_degree == pytest.approx(0.55 * 19, abs=0.5)


def test_it_follows_from_the_seed() -> None:
    assert topology.erdos_renyi(20, 3) == topology.erdos_renyi(20, 3) != topology.erdos_renyi(20, 4)


def test_the_parts_of_a_graph_that_hardly_gets_connected_are_joined() -> None:
    graph = topology.erdos_renyi(60, 1, 0.01)
    assert topology.is_connected(graph)


def test_two_islands_are_not_connected() -> None:
    assert not topology.is_connected(((1,), (0,), (3,), (2,)))
    assert topology.joined(((1,), (0,), (3,), (2,))) == ((1, 2), (0,), (0, 3), (2,))


@pytest.mark.parametrize(("count", "degree"), [(2, 1), (3, 2), (20, 2)])
def test_a_ring_joins_two(count: int, degree: int) -> None:
    assert [len(around) for around in topology.ring(count)] == [degree] * count


@pytest.mark.parametrize("text", ["ring", "complete", "erdos:4", "geometric", "geometric:5", "barabasi", "barabasi:2"])
def test_every_named_topology_is_connected_and_follows_from_the_seed(text: str) -> None:
    graph = topology.topology_of(text, 40, 7)
    assert len(graph) == 40
    assert topology.is_connected(graph)
    assert all(i in graph[j] and i != j for i, peers in enumerate(graph) for j in peers)
    assert graph == topology.topology_of(text, 40, 7)


def test_new_nodes_of_barabasi_join_so_many_others_and_none_gets_too_many() -> None:
    graph = topology.barabasi(2_000, 1, 3)
    assert topology.link_count(graph) == 2 * (6 + 3 * (2_000 - 4))
    assert 30 < max(map(len, graph)) <= topology.MAX_DEGREE


def test_boards_within_reach_are_joined() -> None:
    graph = topology.geometric(400, 1, 8)
    assert 6 < topology.link_count(graph) / 400 < 9


def test_edges_are_written_and_read_back(tmp_path: Path) -> None:
    graph = topology.topology_of("erdos:4", 15, 2)
    topology.write_edges(tmp_path / "edges.txt", graph)
    assert topology.topology_of(str(tmp_path / "edges.txt"), 15, 9) == graph


@pytest.mark.parametrize("line", ["0", "0 1 2", "0 0", "0 5", "-1 2", "a b", "0 99999999999"])
def test_a_line_that_is_no_edge_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "edges"
    file.write_text(f"# five nodes\n0 1\n{line}\n")
    with pytest.raises(SettingsError, match=r"line 3: needs two different node numbers from 0 to 4"):
        topology.topology_of(str(file), 5, 1)


@pytest.mark.parametrize("text", ["erdos", "erdos:", "erdos:0", "erdos:many", "erdos:nan", "barabasi:x"])
def test_a_topology_without_a_sensible_number_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="needs a number from 1"):
        topology.topology_of(text, 10, 1)


def test_what_is_neither_a_topology_nor_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no such file"):
        topology.topology_of("star", 10, 1)
    with pytest.raises(SettingsError, match="cannot be read"):
        topology.topology_of(str(tmp_path), 10, 1)
