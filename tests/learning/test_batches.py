"""Examples as tensors: cut, scaled, thinned."""

from __future__ import annotations

import numpy as np
import torch

from dslnode.data.dataset import Examples
from dslnode.learning.batches import ExampleTensors

EXAMPLES = Examples(np.arange(20, dtype=np.uint8).reshape(10, 2), np.arange(10), full_scale=255.0)


def test_a_few_of_many_are_spread_over_all() -> None:
    few = ExampleTensors.of(EXAMPLES, EXAMPLES.labels).thinned(5)
    _, labels = few.at(slice(None))
    assert labels.tolist() == [0, 2, 4, 6, 8]


def test_fewer_than_asked_for_stay_as_they_are() -> None:
    whole = ExampleTensors.of(EXAMPLES, EXAMPLES.labels)
    assert whole.thinned(10) is whole


def test_minibatches_are_scaled_to_one() -> None:
    images, labels = ExampleTensors.of(EXAMPLES, EXAMPLES.labels).at(torch.tensor([9]))
    assert torch.equal(images, torch.tensor([[18.0, 19.0]]) / 255)
    assert labels.tolist() == [9]
