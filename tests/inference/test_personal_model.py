"""A personal model: what its mask makes of the frozen weights."""

from __future__ import annotations

import numpy as np

from tests.inference.test_model_file import example


def test_weights_are_zero_or_one_magnitude_per_layer() -> None:
    model = example()
    weights = model.weights()
    assert weights["1.weight"].shape == (40, 30)
    assert set(np.unique(weights["1.weight"])) == {-0.25, 0.0, 0.25}
    assert ((weights["3.weight"] != 0).ravel() == model.mask[1200:]).all()
    assert (weights["3.bias"] == model.tensors["3.bias"]).all()
