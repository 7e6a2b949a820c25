"""Builds a node's model by its name, alike at every start."""

from __future__ import annotations

from torch import nn

from dslnode.data.dataset import DataSet
from dslnode.data.target import Task
from dslnode.learning.models import FromLastValues
from dslnode.learning.rng import seeded_torch
from dslnode.plugins import BUILT_IN_MODELS, model_factory


def build_model(name: str, data: DataSet, seed: int) -> nn.Module:
    """Return a new model for the data. Raises ``ModelError`` if there is none of this name, or it cannot be built.

    What is neither frozen nor masked (biases, norms) starts from torch's own random numbers. They are seeded here, so
    that a restart starts alike. A built-in model of a forecast starts from the last known values.
    """
    target = data.target
    with seeded_torch(seed):
        model = model_factory(name)(data.input_shape, data.output_count, target.task)
    if name not in BUILT_IN_MODELS or target.task != Task.FORECAST or not target.last_values:
        return model
    return FromLastValues(model, target.last_values, features=data.input_shape[-1])
