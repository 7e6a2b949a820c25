"""Averaging weights: symmetric, and each row a mean."""

from __future__ import annotations

import numpy as np
import pytest

from dslnode.simulation.graph import Neighbours
from dslnode.simulation.methods.mixing import metropolis
from dslnode.simulation.topology import complete, erdos_renyi, ring


@pytest.mark.parametrize("neighbours", [ring(8, 1), complete(8, 1), erdos_renyi(8, 1)])
def test_metropolis_weights_are_doubly_stochastic(neighbours: Neighbours) -> None:
    rows = metropolis(neighbours)
    matrix = np.array([[row.get(j, 0.0) for j in range(8)] for row in rows])
    assert np.allclose(matrix, matrix.T)
    assert np.allclose(matrix.sum(axis=1), 1)
    assert (matrix >= 0).all()
