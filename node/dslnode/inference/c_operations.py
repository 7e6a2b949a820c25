"""What each operation of a model adds to its C program: calls, and the constants that they take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import singledispatch

from dslnode.errors import ModelError
from dslnode.inference import operations as op
from dslnode.inference.c_functions import ACTIVATIONS
from dslnode.inference.c_program import CProgram, Shape
from dslnode.inference.c_text import float_constant
from dslnode.inference.numpy_runtime import folded, window_overhang


@singledispatch
def emit(operation: op.Operation, _program: CProgram) -> None:
    """Write an operation. Raises ``ModelError`` for one that is not written in C."""
    raise ModelError(f"the operation {operation.op} is not written in C; use --format onnx or dslm")


@emit.register
def _flatten(_operation: op.Flatten, program: CProgram) -> None:
    program.shape = (math.prod(program.shape),)


@emit.register
def _steps_last(_operation: op.StepsLast, program: CProgram) -> None:
    steps, features = program.shape
    program.call_to((features, steps), "steps_last", steps, features)


@emit.register
def _linear(operation: op.Linear, program: CProgram) -> None:
    if len(program.shape) != 1:
        raise ModelError(
            f"a linear layer on values of {len(program.shape)} dimensions is not written in C; flatten them"
        )
    outputs, inputs = program.weights[operation.weight].shape
    weights, bias = program.masked(operation.weight), program.numbers(program.tensor(operation.bias))
    program.call_to((outputs,), "linear", inputs, outputs, weights, bias)


@emit.register
def _subtract_last(operation: op.SubtractLast, program: CProgram) -> None:
    steps, features = program.shape
    for column in operation.columns:
        last = f"{program.here}[{(steps - 1) * features + column}]"
        program.calls += [
            f"for (size_t step = 0; step < {steps - 1}; step++) {{",
            f"    {program.here}[step * {features} + {column}] -= {last};",
            "}",
            f"{last} = 0.0f;",
        ]


@emit.register
def _add_inputs(operation: op.AddInputs, program: CProgram) -> None:
    for output, (place, gain) in enumerate(zip(operation.places, program.weights[operation.gain], strict=True)):
        program.calls.append(f"{program.here}[{output}] += {float_constant(gain)} * input(in, {place});")


@emit.register
def _convolution(operation: op.Convolution, program: CProgram) -> None:
    outputs, channels, *kernel = program.weights[operation.weight].shape
    _pad(program, operation.padding, (0,) * len(kernel), 0.0)
    reach = [(size - 1) * step + 1 for size, step in zip(kernel, operation.dilation, strict=True)]
    places = _places(program.shape[1:], reach, operation.stride)
    planes = (_plane(program.shape[1:]), _plane(kernel), _plane(operation.stride), _plane(operation.dilation))
    sizes = [size for plane in (*planes, _plane(places)) for size in plane]
    shape = program.record("convolution", [operation.groups, channels, outputs, *sizes])
    weights, bias = program.masked(operation.weight), program.numbers(program.tensor(operation.bias))
    program.largest_plane = max(program.largest_plane, _plane(places)[0] * program.shape[-1])
    program.call_to((outputs, *places), "convolution", shape, weights, bias)


@emit.register
def _pool(operation: op.Pool, program: CProgram) -> None:
    sizes = zip(program.shape[1:], operation.kernel, operation.stride, operation.padding, strict=True)
    extra = [window_overhang(*each) if operation.partial else 0 for each in sizes]
    _pad(program, operation.padding, extra, -math.inf if operation.kind == "max" else 0.0)
    _pooled(program, operation.kernel, operation.stride, mean=operation.kind == "mean")


@emit.register
def _global_mean(_operation: op.GlobalMean, program: CProgram) -> None:
    _pooled(program, program.shape[1:], program.shape[1:], mean=True)


def _pooled(program: CProgram, kernel: Sequence[int], stride: Sequence[int], *, mean: bool) -> None:
    channels, *sides = program.shape
    if len(sides) > 2:
        raise ModelError(f"pooling over {len(sides)} dimensions is not written in C; use --format onnx or dslm")
    places = _places(sides, kernel, stride)
    planes = (_plane(sides), _plane(kernel), _plane(stride), _plane(places))
    shape = program.record("pool", [channels, *(size for plane in planes for size in plane), int(mean)])
    program.call_to((channels, *places), "pool", shape)


@emit.register
def _activation(operation: op.Activation, program: CProgram) -> None:
    slope, alpha = float_constant(operation.slope), float_constant(operation.alpha)
    formula = ACTIVATIONS[operation.kind].format(slope=slope, alpha=alpha)
    if "sigmoid" in formula:
        program.used.add("sigmoid")
    program.calls += [
        f"for (size_t place = 0; place < {math.prod(program.shape)}; place++) {{",
        f"    float value = {program.here}[place];",
        f"    {program.here}[place] = {formula};",
        "}",
    ]


@emit.register
def _norm(operation: op.Norm, program: CProgram) -> None:
    gain, shift = folded(operation, program.weights)
    program.call("affine", *_channels(program.shape), program.numbers(gain), program.numbers(shift))


@emit.register
def _affine(operation: op.Affine, program: CProgram) -> None:
    gain, shift = (program.numbers(program.weights[name]) for name in (operation.gain, operation.shift))
    program.call("affine", *_channels(program.shape), gain, shift)


@emit.register
def _gru(operation: op.Gru, program: CProgram) -> None:
    steps, features = program.shape
    width = program.weights[operation.state_weight].shape[1]
    arguments: list[str] = []
    for weight, bias in (
        (operation.input_weight, operation.input_bias),
        (operation.state_weight, operation.state_bias),
    ):
        arguments += [program.masked(weight), program.numbers(program.tensor(bias))]
    program.widest_state = max(program.widest_state, width)
    program.call_to((width,), "gru", steps, features, width, *arguments)


def _pad(program: CProgram, padding: Sequence[int], extra: Sequence[int], filler: float) -> None:
    if not any(padding) and not any(extra):
        return
    channels, *sides = program.shape
    ends = [size + more for size, more in zip(padding, extra, strict=True)]
    (above, before), (below, behind) = _plane(padding, 0), _plane(ends, 0)
    padded = tuple(side + first + last for side, first, last in zip(sides, padding, ends, strict=True))
    text = "-INFINITY" if math.isinf(filler) else float_constant(filler)
    program.call_to((channels, *padded), "pad", channels, *_plane(sides), above, below, before, behind, text)


def _plane(sizes: Sequence[int], missing: int = 1) -> tuple[int, int]:
    """Return rows and columns of sizes along one dimension or two: a series has one row."""
    rows, columns = sizes if len(sizes) == 2 else (missing, *sizes)
    return rows, columns


def _places(sides: Sequence[int], reach: Sequence[int], stride: Sequence[int]) -> Shape:
    return tuple((side - size) // step + 1 for side, size, step in zip(sides, reach, stride, strict=True))


def _channels(shape: Shape) -> tuple[int, int]:
    """Return the number of channels, and of places in each."""
    return shape[0], math.prod(shape[1:])
