"""The benchmark of hostile neighbours: what is measured of honest nodes, and what their losses are measured against."""

from __future__ import annotations

import torch

from benchmarks.accuracy.cases import build_world
from benchmarks.accuracy.masks import learners_of
from benchmarks.hostile import QUICK, RULES, SEEDS, Job, exported_weights, jobs_of, rows_of
from dslnode.learning.masking import from_mask
from dslnode.simulation.hostile import SILENT
from dslnode.simulation.methods.network import build_network, tensors


def test_what_is_measured_is_the_model_that_a_node_exports() -> None:
    world = build_world(QUICK, "mlp", 1, 1)
    learner = learners_of(world, {})[0]
    learner.train_round(0, lambda: False)
    network, (images, _) = build_network(world.cohort, own_classes=True), tensors(world.nodes[0].validation)
    measured = network.logits(exported_weights(learner), 0, images)
    torch.testing.assert_close(measured, learner.export()(images))
    binary = network.logits(learner.network.weights * from_mask(learner.mask), 0, images)
    assert not torch.allclose(measured, binary, atol=0.1)


def test_losses_are_of_the_same_honest_nodes_without_any_lie() -> None:
    jobs = list(jobs_of(QUICK, SEEDS[:1], 1, ("inverted",)))
    assert {(job.share, job.rule) for job in jobs} == {(share, rule) for share in (0, 0.1, 0.2, 0.3) for rule in RULES}

    def accuracies(job: Job) -> list[float]:
        return [90.0 if job.kind == SILENT else 80.0] * QUICK.nodes

    rows = rows_of({job: accuracies(job) for job in jobs})
    assert [(row["kind"], row["hostile"], row["off_loss"]) for row in rows] == [
        ("none", 0, 0.0),
        ("inverted", 10, 10.0),
        ("inverted", 20, 10.0),
        ("inverted", 30, 10.0),
    ]
