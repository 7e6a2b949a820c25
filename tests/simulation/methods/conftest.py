"""Four nodes of the digits, four classes each, all neighbours of each other."""

from __future__ import annotations

import pytest

from dslnode.data.dataset import load_data_set
from dslnode.data.partition import partition
from dslnode.learning.masking import layout_of
from dslnode.learning.models import mlp
from dslnode.simulation.methods.cohort import Cohort
from dslnode.simulation.topology import complete

NODES = 4


@pytest.fixture(scope="session")
def cohort() -> Cohort:
    digits = load_data_set("digits")
    parts = [partition(digits, share=(number, NODES), split="classes:4") for number in range(1, NODES + 1)]
    return Cohort(
        tuple(parts),
        complete(NODES, 1),
        lambda: mlp(digits.input_shape, digits.class_count),
        layout_of(mlp(digits.input_shape, digits.class_count)),
        seed=1,
    )
