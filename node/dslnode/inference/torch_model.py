"""Turns a personal model into a plain module of torch with its normalisation inside, and that into a program."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from functools import singledispatch

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dslnode.data.scaling import LIMIT
from dslnode.data.target import Task
from dslnode.errors import ModelError
from dslnode.inference import operations as op
from dslnode.inference.answers import output_names
from dslnode.inference.export_check import checked_difference, metadata
from dslnode.inference.input_units import InputUnits, as_measured, input_units
from dslnode.inference.numpy_runtime import folded
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.inference.predictor import NEVER, Predictor

METADATA_FILE = "dslnode.json"
"""The file in a ``.pt2`` archive that says what the outputs mean."""
Array = NDArray[np.float32]
Weights = Mapping[str, Array]


class PersonalModule(nn.Module):
    """A personal model as a plain module: inputs as they were measured, and logits or numbers in their units out.

    ``names`` are those of the outputs. Classes that the node does not answer never win.
    """

    def __init__(self, model: PersonalModelFile) -> None:
        super().__init__()
        description, weights = model.description, model.weights()
        units, classes = input_units(description), description.task == Task.CLASSIFICATION
        self.task = description.task
        self.names = tuple(output_names(description))
        divided = [] if description.full_scale == 1 else [_Divided(description.full_scale)]
        self.normalisation = nn.Sequential(*divided, *([] if units is None else [_Scaled(units)]))
        self.layers = _Layers([module_of(operation, weights) for operation in description.operations])
        self.shift: Tensor
        self.scale: Tensor
        offset = np.zeros(description.outputs, np.float32)
        if classes and description.answers:
            offset[:] = NEVER
            offset[list(description.answers)] = 0
        numbers = description.task not in (Task.CLASSIFICATION, Task.MULTILABEL, Task.ANOMALY)
        self.register_buffer("shift", _tensor(description.centre if numbers and description.centre else offset))
        self.register_buffer("scale", _tensor(description.scale if numbers and description.scale else (1.0,)))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits, numbers in their units, or what a normal input would look like: float32 (n, outputs)."""
        outputs: Tensor = self.layers(self.normalisation(inputs))
        return self.shift + self.scale * outputs


def torch_module(model: PersonalModelFile) -> PersonalModule:
    """Return the model for evaluation. ``ModelError`` if its operations do not fit, or only its own code knows them."""
    Predictor(model)  # refuses a model without operations
    return PersonalModule(model).eval().requires_grad_(False)


def torch_program(model: PersonalModelFile, rows: Array) -> tuple[bytes, float]:
    """Return a ``torch.export`` archive, and the largest difference of its answers to numpy's on rows.

    The rows are float32 (n, *input_shape), as `read_examples` gives them, two at least; the program takes inputs as
    they were measured, any number of them. Raises ``ModelError`` if it answers anything else than numpy.
    """
    module, inputs = torch_module(model), torch.from_numpy(as_measured(model.description, rows))
    expected = Predictor(model).predict(rows)
    answers = expected.outputs if expected.values is None else expected.values.astype(np.float32)
    any_number, archive = {"inputs": {0: torch.export.Dim("n", min=1)}}, io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about its own GRU and archive
        program = torch.export.export(module, (inputs[:2],), dynamic_shapes=any_number)
        torch.export.save(program, archive, extra_files={METADATA_FILE: json.dumps(metadata(model))})
    found = program.module()(inputs).numpy()
    return archive.getvalue(), checked_difference(model, found, answers, rows, runtime="torch")


@singledispatch
def module_of(operation: op.Operation, _weights: Weights) -> nn.Module:
    """Return a module that does what an operation does. Raises ``ModelError`` for one that torch lacks."""
    raise ModelError(f"the operation {operation.op} is not made in torch; use --format dslm")


@module_of.register
def _flatten(_operation: op.Flatten, _weights: Weights) -> nn.Module:
    return nn.Flatten()


@module_of.register
def _steps_last(_operation: op.StepsLast, _weights: Weights) -> nn.Module:
    return _StepsLast()


@module_of.register
def _subtract_last(operation: op.SubtractLast, _weights: Weights) -> nn.Module:
    return _SubtractLast(operation.columns)


@module_of.register
def _add_inputs(operation: op.AddInputs, weights: Weights) -> nn.Module:
    return _AddInputs(operation.places, weights[operation.gain])


@module_of.register
def _linear(operation: op.Linear, weights: Weights) -> nn.Module:
    outputs, inputs = weights[operation.weight].shape
    layer = nn.Linear(inputs, outputs, bias=operation.bias is not None)
    return _filled(layer, weights, weight=operation.weight, bias=operation.bias)


@module_of.register
def _convolution(operation: op.Convolution, weights: Weights) -> nn.Module:
    outputs, channels, *kernel = weights[operation.weight].shape
    build = nn.Conv1d if len(kernel) == 1 else nn.Conv2d
    layer = build(
        channels * operation.groups,
        outputs,
        tuple(kernel),
        stride=operation.stride,  # type: ignore[arg-type]
        padding=operation.padding,  # type: ignore[arg-type]
        dilation=operation.dilation,  # type: ignore[arg-type]
        groups=operation.groups,
        bias=operation.bias is not None,
    )
    return _filled(layer, weights, weight=operation.weight, bias=operation.bias)


@module_of.register
def _pool(operation: op.Pool, _weights: Weights) -> nn.Module:
    axes = len(operation.kernel)
    sizes = (operation.kernel, operation.stride, operation.padding)
    if operation.kind == "max":
        return (nn.MaxPool1d if axes == 1 else nn.MaxPool2d)(*sizes, ceil_mode=operation.partial)
    if operation.partial:
        raise ModelError("torch's mean over partial windows is another one; use --format dslm")
    return (nn.AvgPool1d if axes == 1 else nn.AvgPool2d)(*sizes)  # type: ignore[arg-type]


@module_of.register
def _global_mean(_operation: op.GlobalMean, _weights: Weights) -> nn.Module:
    return _GlobalMean()


@module_of.register
def _activation(operation: op.Activation, _weights: Weights) -> nn.Module:
    if operation.kind == "leaky_relu":
        return nn.LeakyReLU(operation.slope)
    return nn.ELU(operation.alpha) if operation.kind == "elu" else ACTIVATIONS[operation.kind]()


@module_of.register
def _norm(operation: op.Norm, weights: Weights) -> nn.Module:
    return _Affine(*folded(operation, weights))


@module_of.register
def _affine(operation: op.Affine, weights: Weights) -> nn.Module:
    return _Affine(weights[operation.gain], weights[operation.shift])


@module_of.register
def _local_response(operation: op.LocalResponse, _weights: Weights) -> nn.Module:
    return nn.LocalResponseNorm(operation.size, operation.alpha, operation.beta, operation.k)


@module_of.register
def _gru(operation: op.Gru, weights: Weights) -> nn.Module:
    gates, features = weights[operation.input_weight].shape
    has_bias = operation.input_bias is not None or operation.state_bias is not None
    layer = nn.GRU(features, gates // 3, batch_first=True, bias=has_bias)
    names = {"weight_ih_l0": operation.input_weight, "weight_hh_l0": operation.state_weight}
    biases = {"bias_ih_l0": operation.input_bias, "bias_hh_l0": operation.state_bias}
    if has_bias:  # torch has both or none
        nn.init.zeros_(layer.get_parameter("bias_ih_l0"))
        nn.init.zeros_(layer.get_parameter("bias_hh_l0"))
    return _LastState(_filled(layer, weights, **names, **biases))


class _Layers(nn.ModuleList):
    """Modules one after the other; some also want the first inputs."""

    def forward(self, inputs: Tensor) -> Tensor:
        values = inputs
        for module in self:
            values = module(values, inputs) if isinstance(module, _AddInputs) else module(values)
        return values


class _SubtractLast(nn.Module):
    """(n, steps, features) less the last step, in some features."""

    def __init__(self, columns: Sequence[int]) -> None:
        super().__init__()
        self.columns = list(columns)

    def forward(self, series: Tensor) -> Tensor:
        subtracted = torch.zeros(series.shape[-1], dtype=series.dtype)
        subtracted[self.columns] = 1.0
        return series - series[:, -1:] * subtracted


class _AddInputs(nn.Module):
    """Adds some of the first inputs, flattened, each times a gain."""

    def __init__(self, places: Sequence[int], gain: Array) -> None:
        super().__init__()
        self.places: Tensor
        self.register_buffer("places", torch.tensor(places))
        self.gain = nn.Parameter(_tensor(gain))

    def forward(self, values: Tensor, first: Tensor) -> Tensor:
        return values + self.gain * first.flatten(1).index_select(1, self.places)


class _Divided(nn.Module):
    """Inputs over the value that becomes 1."""

    def __init__(self, full_scale: float) -> None:
        super().__init__()
        self.full_scale = full_scale

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs / self.full_scale


class _Scaled(nn.Module):
    """Inputs in units of their feature, the last dimension, cut; what is missing (NaN) becomes the centre."""

    def __init__(self, units: InputUnits) -> None:
        super().__init__()
        self.centre: Tensor
        self.scale: Tensor
        self.register_buffer("centre", _tensor(units.centre))
        self.register_buffer("scale", _tensor(units.scale))

    def forward(self, inputs: Tensor) -> Tensor:
        scaled = (inputs - self.centre) / self.scale
        return torch.where(torch.isnan(scaled), 0.0, scaled).clamp(-LIMIT, LIMIT)


class _StepsLast(nn.Module):
    """(n, steps, features) to (n, features, steps)."""

    def forward(self, series: Tensor) -> Tensor:
        return series.transpose(1, 2)


class _GlobalMean(nn.Module):
    """The mean of each channel, with dimensions of 1 left."""

    def forward(self, values: Tensor) -> Tensor:
        return values.mean(tuple(range(2, values.ndim)), keepdim=True)


class _Affine(nn.Module):
    """``values * gain + shift`` per channel, dimension 1."""

    def __init__(self, gain: Array, shift: Array) -> None:
        super().__init__()
        self.gain = nn.Parameter(_tensor(gain))
        self.shift = nn.Parameter(_tensor(shift))

    def forward(self, values: Tensor) -> Tensor:
        shape = (1, -1, *[1] * (values.ndim - 2))
        return values * self.gain.reshape(shape) + self.shift.reshape(shape)


class _LastState(nn.Module):
    """The state of a recurrent unit after the last step, (n, width)."""

    def __init__(self, unit: nn.Module) -> None:
        super().__init__()
        self.unit = unit

    def forward(self, series: Tensor) -> Tensor:
        _, state = self.unit(series)
        last: Tensor = state[-1]
        return last


def _filled(layer: nn.Module, weights: Weights, **names: str | None) -> nn.Module:
    """Return a layer with these weights, each by the name of its parameter."""
    with torch.no_grad():
        for parameter, name in names.items():
            if name is not None:
                layer.get_parameter(parameter).copy_(_tensor(weights[name]))
    return layer


def _tensor(values: Sequence[float] | Array) -> Tensor:
    return torch.from_numpy(np.array(values, np.float32))


ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "relu6": nn.ReLU6,
    "hardtanh": nn.Hardtanh,
}
