"""Whom a node follows more."""

from __future__ import annotations

import pytest
import torch

from dslnode.learning.neighbour_weights import descent_weights, relative_weights

GRADIENT = torch.tensor([1.0, 0.0, 0.0])
PULLS = [torch.tensor([-1.0, 2.0, 0.0]), torch.tensor([0.0, 3.0, 0.0]), torch.tensor([1.0, 0.0, 2.0])]


def test_who_points_downhill_counts_more_whatever_the_length_of_its_pull() -> None:
    found = descent_weights(GRADIENT, PULLS.__getitem__, 3)
    assert found[0] > 1 > found[2]
    assert found[0] > found[1] > found[2]
    longer = descent_weights(5 * GRADIENT, lambda i: 7 * PULLS[i], 3)
    assert longer == pytest.approx(found)


@pytest.mark.parametrize("descents", [[0.001, 0.002], [0.3, 0.1, -0.2, 0.0], [5.0] * 3 + [-5.0]])
def test_weights_are_above_nothing_and_their_mean_is_one(descents: list[float]) -> None:
    found = relative_weights(descents)
    assert all(weight > 0 for weight in found)
    assert sum(found) == pytest.approx(len(descents))


@pytest.mark.parametrize("descents", [[], [0.4], [0.1, 0.1, 0.1]])
def test_all_count_alike_where_nothing_tells_them_apart(descents: list[float]) -> None:
    assert relative_weights(descents) == [1.0] * len(descents)


def test_a_node_that_has_no_gradient_yet_follows_all_alike() -> None:
    assert descent_weights(torch.zeros(3), PULLS.__getitem__, 3) == [1.0, 1.0, 1.0]
