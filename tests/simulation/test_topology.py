"""Graphs of simulated networks: drawn alike from a seed, connected, and read back from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dslnode.errors import SettingsError
from dslnode.simulation import topology
from dslnode.simulation.edge_file import write_edges
from dslnode.simulation.graph import MAX_DEGREE, is_connected, link_count


def test_the_drawn_graph_is_connected_symmetric_and_of_the_right_density() -> None:
    drawn = [topology.erdos_renyi(20, seed) for seed in range(30)]
    assert all(is_connected(graph) for graph in drawn)
    assert all(i in graph[j] and j != i for graph in drawn for i, around in enumerate(graph) for j in around)
    mean_degree = np.mean([link_count(graph) / 20 for graph in drawn])
    assert mean_degree == pytest.approx(0.55 * 19, abs=0.5)


def test_it_follows_from_the_seed() -> None:
    assert topology.erdos_renyi(20, 3) == topology.erdos_renyi(20, 3) != topology.erdos_renyi(20, 4)


def test_the_parts_of_a_graph_that_hardly_gets_connected_are_joined() -> None:
    graph = topology.erdos_renyi(60, 1, 0.01)
    assert is_connected(graph)


@pytest.mark.parametrize(("count", "degree"), [(2, 1), (3, 2), (20, 2)])
def test_a_ring_joins_two(count: int, degree: int) -> None:
    assert [len(around) for around in topology.ring(count)] == [degree] * count


@pytest.mark.parametrize("text", ["ring", "complete", "erdos:4", "geometric", "geometric:5", "barabasi", "barabasi:2"])
def test_every_named_topology_is_connected_and_follows_from_the_seed(text: str) -> None:
    graph = topology.topology_of(text, 40, 7)
    assert len(graph) == 40
    assert is_connected(graph)
    assert all(i in graph[j] and i != j for i, peers in enumerate(graph) for j in peers)
    assert graph == topology.topology_of(text, 40, 7)


def test_new_nodes_of_barabasi_join_so_many_others_and_none_gets_too_many() -> None:
    graph = topology.barabasi(2_000, 1, 3)
    assert link_count(graph) == 2 * (6 + 3 * (2_000 - 4))
    assert 30 < max(map(len, graph)) <= MAX_DEGREE


def test_boards_within_reach_are_joined() -> None:
    graph = topology.geometric(400, 1, 8)
    assert 6 < link_count(graph) / 400 < 9


@pytest.mark.parametrize(
    ("text", "degree"),
    [("complete", 99_999), ("erdos:101", 101), ("geometric:99999", 99_999), ("erdos:100000", 99_999)],
)
def test_a_graph_with_too_many_links_is_refused_before_it_is_drawn(
    text: str, degree: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("complete", "erdos_renyi", "geometric"):
        monkeypatch.delattr(topology, name)
    with pytest.raises(SettingsError, match=rf"--topology {text}: a node would have {degree} neighbours"):
        topology.topology_of(text, 100_000, 1)


@pytest.mark.parametrize("text", ["erdos:98", "complete"])
def test_a_graph_with_a_node_of_too_many_links_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"neighbours, a daemon links with 100 at most"):
        topology.topology_of(text, 200, 1)


def test_a_degree_that_few_nodes_cannot_have_links_all() -> None:
    assert (
        topology.topology_of("erdos:500", 5, 1) == topology.topology_of("geometric:500", 5, 1) == topology.complete(5)
    )


@pytest.mark.parametrize("text", ["barabasi:50", "barabasi:0", "barabasi:2.5", "barabasi:", "barabasi:x"])
def test_a_number_of_links_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"a whole number of links from 1 to 30"):
        topology.topology_of(text, 100, 1)


@pytest.mark.parametrize("count", [0, -1, 100_001])
def test_a_number_of_nodes_that_cannot_be_is_refused(count: int) -> None:
    with pytest.raises(SettingsError, match=r"--nodes .* from 1 to 100,000"):
        topology.topology_of("ring", count, 1)


def test_a_large_random_graph_is_connected_and_of_the_right_distribution() -> None:
    count = topology.MAX_PAIRWISE_NODES + 1
    graph = topology.erdos_renyi(count, 5, 12 / (count - 1))
    assert graph == topology.erdos_renyi(count, 5, 12 / (count - 1)) != topology.erdos_renyi(count, 6, 12 / (count - 1))
    assert is_connected(graph)
    assert all(peers == tuple(sorted(set(peers))) and i not in peers for i, peers in enumerate(graph))
    assert all(i in graph[j] for i, peers in enumerate(graph) for j in peers)
    degrees = np.array([len(peers) for peers in graph])
    assert degrees.mean() == pytest.approx(12, abs=0.3)
    assert degrees.var() == pytest.approx(12, abs=1.5), "as Poisson's, whose variance is its mean"
    assert np.mean([peer for peers in graph for peer in peers]) == pytest.approx(count / 2, rel=0.02), (
        "no node is preferred"
    )


def test_pairs_that_are_skipped_to_are_all_pairs_where_every_edge_is_drawn() -> None:
    pairs = topology._skipping_pairs(50, np.random.Generator(np.random.PCG64(1)), 1.0)
    assert pairs.tolist() == [[i, j] for i in range(50) for j in range(i)]


def test_the_last_pairs_of_the_largest_graph_are_found_by_their_place() -> None:
    class LastPlaces:
        """Skips to the last three pairs, and then beyond them."""

        def geometric(self, _probability: float, _size: int) -> np.ndarray:
            pairs = 100_000 * 99_999 // 2
            return np.array([pairs - 2, 1, 1, 1])

    pairs = topology._skipping_pairs(100_000, LastPlaces(), 1e-4)  # type: ignore[arg-type]
    assert pairs.tolist() == [[99_999, 99_996], [99_999, 99_997], [99_999, 99_998]]


def test_a_file_of_edges_says_how_many_nodes_there_are(tmp_path: Path) -> None:
    file = tmp_path / "edges.txt"
    write_edges(file, topology.ring(12))
    assert topology.topology_of(str(file), None, 1) == topology.ring(12)
    assert topology.topology_of("ring", None, 1) == topology.ring(20)
    assert topology.topology_of("ring", None, 1, usual=8) == topology.ring(8)


def test_a_file_with_a_node_of_too_many_links_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "star"
    file.write_text("".join(f"0 {i}\n" for i in range(1, 102)))
    with pytest.raises(SettingsError, match=r"star: a node would have 101 neighbours"):
        topology.topology_of(str(file), None, 1)


@pytest.mark.parametrize("text", ["erdos", "erdos:", "erdos:0", "erdos:many", "erdos:nan"])
def test_a_topology_without_a_sensible_number_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="needs a number from 1"):
        topology.topology_of(text, 10, 1)


def test_what_is_neither_a_topology_nor_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no such file"):
        topology.topology_of("star", 10, 1)
    with pytest.raises(SettingsError, match="cannot be read"):
        topology.topology_of(str(tmp_path), 10, 1)
