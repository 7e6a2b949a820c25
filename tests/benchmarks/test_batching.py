"""The two ways that the batching benchmark compares do the same work."""

from __future__ import annotations

import torch

from benchmarks.batching import NODES, ways
from dslnode.learning.models import mlp


def test_both_ways_give_every_nodes_own_gradient() -> None:
    singly, batched = (way() for way in ways(mlp((1, 28, 28), 10)))
    assert singly.keys() == batched.keys()
    for name, gradients in singly.items():
        assert len(gradients) == NODES
        assert torch.allclose(gradients, batched[name], atol=1e-5)
        assert not torch.allclose(gradients[0], gradients[1])
