"""Dense training: consensus where nodes average, none where they do not."""

from __future__ import annotations

import pytest
import torch

from dslnode.simulation.methods.cohort import Cohort
from dslnode.simulation.methods.dense import Dense, decayed
from dslnode.simulation.methods.recipes import SGD


def test_averaging_on_a_complete_graph_reaches_consensus(cohort: Cohort) -> None:
    method = Dense(cohort, "averaged", 2, **SGD)
    method.round(0)
    (models,) = method.personal(last=True).values()
    assert all(torch.allclose(models[0], model, atol=1e-6) for model in models)


def test_alone_there_is_none(cohort: Cohort) -> None:
    method = Dense(cohort, "alone", 2, **SGD)
    method.round(0)
    (models,) = method.personal(last=True).values()
    assert not torch.allclose(models[0], models[1], atol=1e-3)


def test_fine_tuning_leaves_the_average_as_it_was(cohort: Cohort) -> None:
    method = Dense(cohort, "finetuned", 2, **SGD)
    method.round(0)
    first, second = (method.personal(last=True) for _ in range(2))
    assert all(map(torch.equal, first["local"], second["local"]))
    assert not torch.equal(first["finetuned"][0], first["local"][0])


def test_a_rate_falls_along_a_cosine() -> None:
    assert [decayed(0.1, number, 4) for number in (0, 2)] == pytest.approx([0.1, 0.05])
    assert decayed(0.1, 3, None) == 0.1
