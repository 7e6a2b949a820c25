"""A personal model that answers: inputs in the units of the data, classes, numbers or anomalies out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dslnode.data.scaling import scaled
from dslnode.data.target import Task
from dslnode.errors import ModelError
from dslnode.inference import numpy_runtime
from dslnode.inference.model_file import read_model
from dslnode.inference.model_fit import check_fit
from dslnode.inference.model_header import Description
from dslnode.inference.operations import Convolution
from dslnode.inference.personal_model import PersonalModelFile

if TYPE_CHECKING:
    from torch import nn

BATCH, CONVOLUTION_BATCH = 64, 8
"""Rows that are answered at once, and by models with convolutions, whose values between layers are many per row."""
NEVER = -1e9
"""What is added to the score of a class that the node does not answer."""
Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class Predictions:
    """Answers to examples. Which fields are there depends on the task.

    ``classes`` int64 (n,) with ``probabilities`` float32 (n, outputs): one class each. ``flags`` bool (n, outputs) with
    ``probabilities``: several labels at once. ``values`` float64 (n, outputs): numbers in their units. ``errors``
    float32 (n,), and ``anomalous`` bool (n,) where there is a threshold: how far an example is from a normal one.
    """

    outputs: Array
    classes: NDArray[np.int64] | None = None
    probabilities: Array | None = None
    flags: NDArray[np.bool_] | None = None
    values: NDArray[np.float64] | None = None
    errors: Array | None = None
    anomalous: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.outputs)


class Predictor:
    """Answers with numpy alone.

    Raises ``ModelError`` for a model whose operations only its own code knows, or do not fit its tensors.
    """

    def __init__(self, model: PersonalModelFile) -> None:
        self.model = model
        if not model.description.operations:
            raise ModelError(
                f"the model {model.description.model!r} cannot run without torch and its own code;"
                " take what dslnode.Learner.export() returns where it was trained"
            )
        try:
            check_fit(model)
        except ValueError as error:
            raise ModelError(f"the model {error}") from error

    @property
    def description(self) -> Description:
        """What the model is."""
        return self.model.description

    @cached_property
    def _batch(self) -> int:
        convolves = any(isinstance(operation, Convolution) for operation in self.description.operations)
        return CONVOLUTION_BATCH if convolves else BATCH

    @cached_property
    def _weights(self) -> dict[str, Array]:
        return self.model.weights()

    def outputs(self, inputs: NDArray[Any]) -> Array:
        """Return the raw outputs (n, outputs) of inputs (n, *input_shape), in the units of the data set."""
        description = self.description
        values = np.asarray(inputs)
        if values.shape[1:] != description.input_shape:
            raise ModelError(
                f"inputs have the shape {values.shape[1:]} per example, and this model was made for"
                f" {description.input_shape}; give it what it was trained on"
            )
        batches = (values[start : start + self._batch] for start in range(0, len(values), self._batch))
        parts = [
            numpy_runtime.run(description.operations, self._weights, as_seen(description, batch)) for batch in batches
        ]
        found = np.concatenate(parts) if parts else np.empty((0, description.outputs), np.float32)
        if found.shape[1:] != (description.outputs,):
            raise ModelError(
                f"the model gives {found.shape[1:]} numbers, not {description.outputs}; its file is damaged"
            )
        return found

    def predict(self, inputs: NDArray[Any]) -> Predictions:
        """Return the answers to inputs (n, *input_shape), in the units of the data set."""
        return interpret(self.model, self.outputs(inputs), np.asarray(inputs))

    def as_torch(self) -> nn.Module:
        """Return a plain module for evaluation with the normalisation inside, and ``names`` of its outputs.

        It takes inputs as they were measured, float32 (n, *input_shape): pixels as stored, numbers of tables and
        arrays in their units, NaN for a missing one. It gives logits, or numbers in their units. Needs torch.
        """
        from dslnode.inference.torch_model import torch_module

        return torch_module(self.model)


def load_model(path: str | Path) -> Predictor:
    """Return the model in a ``.dslm`` file, ready to answer. Raises ``ModelError``."""
    return Predictor(read_model(Path(path)))


def interpret(model: PersonalModelFile, outputs: Array, inputs: NDArray[Any]) -> Predictions:
    """Return what raw outputs (n, outputs) say."""
    description = model.description
    if description.task == Task.CLASSIFICATION:
        if description.answers:
            offset = np.full(description.outputs, NEVER, np.float32)
            offset[list(description.answers)] = 0
            outputs = outputs + offset
        shares = softmax(outputs)
        return Predictions(outputs=outputs, classes=outputs.argmax(axis=1), probabilities=shares)
    if description.task == Task.MULTILABEL:
        return Predictions(outputs=outputs, flags=outputs > 0, probabilities=sigmoid(outputs))
    if description.task == Task.ANOMALY:
        wanted = as_seen(description, inputs).reshape(len(inputs), -1)
        errors: Array = np.square(outputs - wanted).mean(axis=1, dtype=np.float32)
        threshold = model.threshold
        return Predictions(outputs=outputs, errors=errors, anomalous=None if threshold is None else errors > threshold)
    centre, scale = np.asarray(description.centre or (0.0,)), np.asarray(description.scale or (1.0,))
    return Predictions(outputs=outputs, values=centre + scale * outputs)


def as_seen(description: Description, inputs: NDArray[Any]) -> Array:
    """Return inputs in the units of the data set as the model sees them."""
    scaling = description.input_scaling
    divided: Array = np.divide(inputs, np.float32(description.full_scale), dtype=np.float32)
    if scaling is None or not scaling.scale:
        return divided
    seen: Array = np.nan_to_num(scaled(inputs, scaling.centre, scaling.scale), copy=False)
    return seen


def softmax(logits: Array) -> Array:
    """Return the probabilities of classes (n, classes)."""
    powers: Array = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Array = powers / powers.sum(axis=1, keepdims=True)
    return shares


def sigmoid(logits: Array) -> Array:
    """Return the probability of each label by itself."""
    found: Array = (np.tanh(logits * np.float32(0.5)) + 1) * np.float32(0.5)
    return found
