"""DisPFL: its masks move, their density stays."""

from __future__ import annotations

import pytest

from dslnode.protocol.mask import MaskLayer, MaskLayout
from dslnode.simulation.methods.cohort import Cohort
from dslnode.simulation.methods.dispfl import DENSITY, DisPFL, layer_counts
from dslnode.simulation.methods.recipes import SGD


def test_dispfl_keeps_its_density_and_moves_its_masks(cohort: Cohort) -> None:
    method = DisPFL(cohort, 5, prune=0.2, **SGD)
    method.round(0)
    assert method.traffic.flips is not None
    assert 0 < method.traffic.flips < 0.3
    for weights in method.personal(last=True)["local"]:
        assert int(weights.count_nonzero()) <= sum(layer_counts(cohort.layout, DENSITY))


def test_layer_counts_have_the_density_asked_for() -> None:
    layout = MaskLayout((MaskLayer("a", (32, 1, 5, 5)), MaskLayer("b", (256, 1024)), MaskLayer("c", (10, 256))))
    counts = layer_counts(layout, 0.5)
    assert sum(counts) == pytest.approx(layout.size / 2, abs=3)
    assert all(0 < count <= layer.size for count, layer in zip(counts, layout.layers, strict=True))
