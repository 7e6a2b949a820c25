"""Graphs as values: made from edges, asked for their parts, and refused if no daemons could form them."""

from __future__ import annotations

import numpy as np
import pytest

from dslnode.errors import SettingsError
from dslnode.simulation.graph import (
    check_count,
    check_degrees,
    edges_of,
    from_edges,
    from_pairs,
    is_connected,
    joined,
    link_count,
    unlinked_count,
)

ISLANDS = ((1,), (0,), (3,), (2,))


def test_two_islands_are_not_connected() -> None:
    assert not is_connected(ISLANDS)
    assert joined(ISLANDS) == ((1, 2), (0,), (0, 3), (2,))
    assert is_connected(joined(((), (), ())))


def test_edges_make_neighbours_and_neighbours_edges() -> None:
    edges = [(0, 3), (1, 2), (2, 0)]
    graph = from_edges(5, edges)
    assert graph == ((2, 3), (2,), (0, 1), (0,), ())
    assert graph == from_pairs(5, np.array(edges))
    assert edges_of(graph) == [(0, 2), (0, 3), (1, 2)]
    assert (link_count(graph), unlinked_count(graph)) == (6, 1)


def test_no_edges_are_a_graph() -> None:
    assert from_pairs(2, np.empty((0, 2), np.int64)) == from_edges(2, []) == ((), ())


def test_what_daemons_cannot_form_is_refused() -> None:
    check_degrees(from_edges(101, [(0, i) for i in range(1, 101)]))
    with pytest.raises(SettingsError, match=r"--topology star: a node would have 101 neighbours"):
        check_degrees(from_edges(102, [(0, i) for i in range(1, 102)]), "star")
    with pytest.raises(SettingsError, match=r"--nodes 0: simulate from 1"):
        check_count(0)
