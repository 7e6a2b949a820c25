"""What the daemon is for: with little data of its own, a node learns better with neighbours than alone."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from dslnode.cli.demo_nodes import Plan, plan_nodes, run_nodes
from dslnode.cli.testbed_log import latest_round

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def mean_accuracy(plan: Plan) -> float:
    """Return the mean held-out accuracy of the plan's real processes after their last round, in percent."""
    with TemporaryDirectory() as directory:
        nodes = plan_nodes(Path(directory), plan)
        run_nodes(nodes, lambda: None)
        latest = [latest_round(node.log) for node in nodes]
    assert all(line["masks"] == (plan.count - 1) * plan.linked for line in latest)
    return statistics.mean(100 * float(line["accuracy"]) for line in latest)


@pytest.mark.skipif(not FASHION_MNIST.exists(), reason="needs Debian's package dataset-fashion-mnist")
@pytest.mark.slow  # the largest test of learning; `python -m benchmarks.together` measures more
def test_three_processes_on_slices_of_fashion_mnist_learn_better_with_peers_than_without() -> None:
    plan = Plan(3, 40, f"idx:{FASHION_MNIST}", "even", samples_per_class=15, evaluate_every=40)
    assert mean_accuracy(plan) > mean_accuracy(replace(plan, linked=False)) + 1
