"""What the daemon is for: with little data of its own, a node learns better with neighbours than alone."""

from __future__ import annotations

import asyncio
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from dslnode.cli.testbed import Plan, plan_nodes, run_nodes

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def mean_accuracy(plan: Plan) -> float:
    """Return the mean held-out accuracy of the plan's real processes after their last round, in percent."""
    nodes = plan_nodes(plan)
    asyncio.run(run_nodes(nodes))
    assert all(node.latest["masks"] == (plan.count - 1) * plan.linked for node in nodes)
    return statistics.mean(100 * float(node.latest["accuracy"]) for node in nodes)


@pytest.mark.skipif(not FASHION_MNIST.exists(), reason="needs Debian's package dataset-fashion-mnist")
@pytest.mark.slow  # the largest test of learning; `python -m benchmarks.together` measures more
def test_three_processes_on_slices_of_fashion_mnist_learn_better_with_peers_than_without() -> None:
    plan = Plan(3, 40, f"idx:{FASHION_MNIST}", "even", samples_per_class=15, evaluate_every=40)
    assert mean_accuracy(plan) > mean_accuracy(replace(plan, linked=False)) + 1
