"""Whether the parts of a model fit each other: shapes are followed through its operations before anything runs.

Runtimes differ in what they make of a tensor of another shape: numpy and torch broadcast it, and C would read beyond
its end. Here it is refused for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import singledispatch

import numpy as np

from dslnode.data.target import Task
from dslnode.inference import operations as op
from dslnode.inference.model_header import Description
from dslnode.inference.numpy_runtime import folded, window_overhang
from dslnode.inference.personal_model import PersonalModelFile

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
REMEDY = "export the model again"


def check_fit(model: PersonalModelFile) -> None:
    """Raise ``ValueError`` unless a model's operations can run on its tensors, and all of these are finite.

    The message says what the model has or lacks, and names it. Tensors that no operation names are somebody's own: code
    that is not here says what may be in them.
    """
    description = model.description
    if not description.operations:
        return
    shapes = shapes_of(model)
    if shapes[-1] != (description.outputs,):
        raise ValueError(f"gives values of the shape {shapes[-1]}, not {description.outputs} outputs; {REMEDY}")
    _check_meaning(description)
    _check_finite(model)


def shapes_of(model: PersonalModelFile) -> list[Shape]:
    """Return the shape of an example's values after each operation. ``ValueError`` that names what does not fit."""
    description = model.description
    known = {name: tensor.shape for name, tensor in model.tensors.items()}
    known |= {layer.name: layer.shape for layer in description.layers}
    missing = op.weight_names(description.operations) - known.keys()
    if missing:
        raise ValueError(f"lacks the weights {', '.join(sorted(missing))}; {REMEDY}")
    shapes = [description.input_shape]
    for number, operation in enumerate(description.operations):
        try:
            if isinstance(operation, op.AddInputs):
                _check_places(operation, description.input_shape)
            shapes.append(_after(operation, known, shapes[-1]))
        except ValueError as error:
            raise ValueError(
                f"has an operation {number} ({operation.op}) that does not fit values of the shape {shapes[-1]}:"
                f" {error}; {REMEDY}"
            ) from None
    return shapes[1:]


def _check_meaning(description: Description) -> None:
    """Refuse outputs that cannot mean what the description says."""
    outputs, inputs = description.outputs, math.prod(description.input_shape)
    if description.task == Task.ANOMALY and outputs != inputs:
        raise ValueError(f"gives {outputs} outputs, and finds anomalies among {inputs} inputs; {REMEDY}")
    if any(answer >= outputs for answer in description.answers):
        raise ValueError(f"answers with classes beyond its {outputs} outputs; {REMEDY}")
    if any(len(numbers) not in (0, 1, outputs) for numbers in (description.centre, description.scale)):
        raise ValueError(f"has units for another number of outputs than its {outputs}; {REMEDY}")


def _check_finite(model: PersonalModelFile) -> None:
    layers, used = model.description.layers, op.weight_names(model.description.operations)
    with np.errstate(all="ignore"):  # infinities are looked for, and refused
        for layer, unit in zip(layers, model.units(), strict=True):
            if not np.isfinite(unit):
                raise ValueError(f"has weights {layer.name} whose scale is no finite float32; {REMEDY}")
        for name, tensor in model.tensors.items():
            if name in used and not np.isfinite(tensor).all():
                raise ValueError(f"has a tensor {name} with values that are infinite or no numbers; {REMEDY}")
        for operation in model.description.operations:
            if isinstance(operation, op.Norm):
                _check_norm(operation, model)


def _check_norm(operation: op.Norm, model: PersonalModelFile) -> None:
    if op.weight_names((operation,)) & {layer.name for layer in model.description.layers}:
        raise ValueError(f"has masked weights in the norm of {operation.mean}; {REMEDY}")
    if not np.isfinite(folded(operation, model.tensors)).all():
        raise ValueError(f"has a tensor {operation.variance} by whose root nothing can be divided; {REMEDY}")


@singledispatch
def _after(operation: object, _known: Shapes, _shape: Shape) -> Shape:
    """Return the shape of an example's values after an operation on those of a shape. ``ValueError`` if none."""
    raise TypeError(f"{type(operation).__name__} is no operation")


@_after.register
def _flatten(_operation: op.Flatten, _known: Shapes, shape: Shape) -> Shape:
    return (math.prod(shape),)


@_after.register
def _steps_last(_operation: op.StepsLast, _known: Shapes, shape: Shape) -> Shape:
    steps, features = _series(shape)
    return features, steps


@_after.register
def _linear(operation: op.Linear, known: Shapes, shape: Shape) -> Shape:
    outputs = (*known[operation.weight], 1)[0]
    _check_shape(operation.weight, known, (outputs, shape[-1]))
    _check_shape(operation.bias, known, (outputs,))
    return *shape[:-1], outputs


@_after.register
def _convolution(operation: op.Convolution, known: Shapes, shape: Shape) -> Shape:
    sides, groups = _sides(shape, operation.stride, operation.padding, operation.dilation), operation.groups
    if len(known[operation.weight]) != 2 + len(sides):
        raise ValueError(f"its tensor {operation.weight} has the shape {known[operation.weight]}, which is no kernel")
    outputs, _, *kernel = known[operation.weight]
    if shape[0] % groups or outputs % groups:
        raise ValueError(f"{shape[0]} channels and {outputs} outputs are not {groups} groups of one size")
    _check_shape(operation.weight, known, (outputs, shape[0] // groups, *kernel))
    _check_shape(operation.bias, known, (outputs,))
    reach = [(size - 1) * step + 1 for size, step in zip(kernel, operation.dilation, strict=True)]
    padded = [side + 2 * padding for side, padding in zip(sides, operation.padding, strict=True)]
    return outputs, *_places(padded, reach, operation.stride)


@_after.register
def _pool(operation: op.Pool, _known: Shapes, shape: Shape) -> Shape:
    sides = _sides(shape, operation.kernel, operation.stride, operation.padding)
    if any(2 * padding > size for padding, size in zip(operation.padding, operation.kernel, strict=True)):
        raise ValueError(f"a padding of {operation.padding} is more than half of its kernel {operation.kernel}")
    each = list(zip(sides, operation.kernel, operation.stride, operation.padding, strict=True))
    extra = [window_overhang(*sizes) if operation.partial else 0 for sizes in each]
    padded = [side + 2 * padding + more for (side, _, _, padding), more in zip(each, extra, strict=True)]
    return shape[0], *_places(padded, operation.kernel, operation.stride)


@_after.register
def _global_mean(_operation: op.GlobalMean, _known: Shapes, shape: Shape) -> Shape:
    channels, *sides = _channels(shape)
    return channels, *(1 for _ in sides)


@_after.register
def _activation(_operation: op.Activation, _known: Shapes, shape: Shape) -> Shape:
    return shape


@_after.register
def _norm(operation: op.Norm, known: Shapes, shape: Shape) -> Shape:
    return _for_each_channel((operation.mean, operation.variance, operation.gain, operation.shift), known, shape)


@_after.register
def _affine(operation: op.Affine, known: Shapes, shape: Shape) -> Shape:
    return _for_each_channel((operation.gain, operation.shift), known, shape)


@_after.register
def _local_response(_operation: op.LocalResponse, _known: Shapes, shape: Shape) -> Shape:
    return _channels(shape)


@_after.register
def _gru(operation: op.Gru, known: Shapes, shape: Shape) -> Shape:
    _, features = _series(shape)
    width = (1, *known[operation.state_weight])[-1]
    _check_shape(operation.state_weight, known, (3 * width, width))
    _check_shape(operation.input_weight, known, (3 * width, features))
    for name in (operation.input_bias, operation.state_bias):
        _check_shape(name, known, (3 * width,))
    return (width,)


@_after.register
def _subtract_last(operation: op.SubtractLast, _known: Shapes, shape: Shape) -> Shape:
    _, features = _series(shape)
    if max(operation.columns) >= features:
        raise ValueError(f"there is no feature {max(operation.columns)}")
    return shape


@_after.register
def _add_inputs(operation: op.AddInputs, known: Shapes, shape: Shape) -> Shape:
    if shape != (len(operation.places),):
        raise ValueError(f"it adds inputs to {len(operation.places)} outputs")
    _check_shape(operation.gain, known, shape)
    return shape


def _check_places(operation: op.AddInputs, input_shape: Shape) -> None:
    if max(operation.places) >= math.prod(input_shape):
        raise ValueError(f"there is no input {max(operation.places)}")


def _for_each_channel(names: Sequence[str | None], known: Shapes, shape: Shape) -> Shape:
    """Return the shape, which stays; every tensor has a value for each channel."""
    for name in names:
        _check_shape(name, known, shape[:1])
    return shape


def _check_shape(name: str | None, known: Shapes, wanted: Shape) -> None:
    if name is not None and (known[name] != wanted or 0 in wanted):
        raise ValueError(f"its tensor {name} has the shape {known[name]}, not {wanted}")


def _series(shape: Shape) -> tuple[int, int]:
    if len(shape) != 2:
        raise ValueError("it takes steps and features")
    return shape[0], shape[1]


def _channels(shape: Shape) -> Shape:
    if len(shape) < 2:
        raise ValueError("it takes channels with places in each")
    return shape


def _sides(shape: Shape, *settings: Sequence[int]) -> Shape:
    """Return the places along each side of channels; every setting must have an entry per side."""
    sides = shape[1:]
    if any(len(setting) != len(sides) for setting in settings):
        raise ValueError(f"it is over {len(settings[0])} dimensions beside the channels")
    return sides


def _places(sides: Sequence[int], reach: Sequence[int], stride: Sequence[int]) -> Shape:
    """Return how many windows fit along each side."""
    if any(size > side for side, size in zip(sides, reach, strict=True)):
        raise ValueError(f"windows of {tuple(reach)} reach over its end")
    return tuple((side - size) // step + 1 for side, size, step in zip(sides, reach, stride, strict=True))
