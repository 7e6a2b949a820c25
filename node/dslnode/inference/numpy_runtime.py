"""Runs a personal model with numpy alone: float32 in, float32 out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import singledispatch

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from dslnode.errors import ModelError
from dslnode.inference.operations import (
    Activation,
    AddInputs,
    Affine,
    Convolution,
    Flatten,
    GlobalMean,
    Gru,
    Linear,
    LocalResponse,
    Norm,
    Operation,
    Pool,
    StepsLast,
    SubtractLast,
)

LARGEST_COPY = 2**18
"""Numbers of windows that are copied at once: what overlaps takes much memory side by side."""
Array = NDArray[np.float32]
Weights = Mapping[str, Array]


def run(operations: Sequence[Operation], weights: Weights, inputs: Array) -> Array:
    """Return the outputs (n, outputs), float32, of inputs (n, *input_shape). ``ModelError`` if they do not fit."""
    first = values = np.ascontiguousarray(inputs, dtype=np.float32)
    for number, operation in enumerate(operations):
        try:
            if isinstance(operation, AddInputs):
                values = values + weights[operation.gain] * first.reshape(len(first), -1)[:, list(operation.places)]
            else:
                values = apply(operation, weights, values)
        except (ValueError, IndexError, KeyError, np.exceptions.AxisError) as error:
            raise ModelError(
                f"operation {number} of the model ({operation.op}) does not fit values of the shape {values.shape}:"
                f" {error}; the file is damaged, or was made for other data"
            ) from error
    return values


@singledispatch
def apply(operation: object, _weights: Weights, _values: Array) -> Array:
    """Return what an operation makes of values."""
    raise TypeError(f"{type(operation).__name__} is no operation")


@apply.register
def _flatten(_operation: Flatten, _weights: Weights, values: Array) -> Array:
    return values.reshape(len(values), -1)


@apply.register
def _steps_last(_operation: StepsLast, _weights: Weights, values: Array) -> Array:
    return values.transpose(0, 2, 1)


@apply.register
def _subtract_last(operation: SubtractLast, _weights: Weights, values: Array) -> Array:
    differences, columns = values.copy(), list(operation.columns)
    differences[:, :, columns] -= values[:, -1:, columns]
    return differences


@apply.register
def _linear(operation: Linear, weights: Weights, values: Array) -> Array:
    return _plus(values @ weights[operation.weight].T, weights, operation.bias, last=True)


@apply.register
def _convolution(operation: Convolution, weights: Weights, values: Array) -> Array:
    weight = weights[operation.weight]
    axes = weight.ndim - 2
    reach = [(size - 1) * step + 1 for size, step in zip(weight.shape[2:], operation.dilation, strict=True)]
    windows = _windows(_padded(values, operation.padding, 0.0), reach, operation.stride)
    windows = windows[_every(operation.dilation, before=2 + axes)]
    windows = np.moveaxis(windows, 1, 1 + axes)  # (n, *places, channels, *kernel)
    outputs = [
        _product(part, kernel)
        for part, kernel in zip(
            np.split(windows, operation.groups, axis=1 + axes), np.split(weight, operation.groups), strict=True
        )
    ]
    return _plus(np.moveaxis(np.concatenate(outputs, axis=-1), -1, 1), weights, operation.bias)


def _product(windows: Array, kernel: Array) -> Array:
    """Return (n, *places, outputs) of windows (n, *places, inputs, *kernel) and a kernel (outputs, inputs, *kernel)."""
    places = windows.shape[: windows.ndim - kernel.ndim + 1]
    weights = kernel.reshape(len(kernel), -1).T
    at_once = max(1, LARGEST_COPY // max(1, math.prod(windows.shape[1:])))
    parts = [
        windows[start : start + at_once].reshape(-1, len(weights)) @ weights
        for start in range(0, len(windows), at_once)
    ]
    return np.concatenate(parts).reshape(*places, len(kernel))


@apply.register
def _pool(operation: Pool, _weights: Weights, values: Array) -> Array:
    filler = -np.inf if operation.kind == "max" else 0.0
    sizes = zip(values.shape[2:], operation.kernel, operation.stride, operation.padding, strict=True)
    extra = [window_overhang(*each) if operation.partial else 0 for each in sizes]
    windows = _windows(_padded(values, operation.padding, filler, extra), operation.kernel, operation.stride)
    axes = tuple(range(-len(operation.kernel), 0))
    pooled: Array = windows.max(axes) if operation.kind == "max" else windows.mean(axes, dtype=np.float32)
    return pooled


@apply.register
def _global_mean(_operation: GlobalMean, _weights: Weights, values: Array) -> Array:
    mean: Array = values.mean(tuple(range(2, values.ndim)), dtype=np.float32, keepdims=True)
    return mean


@apply.register
def _activation(operation: Activation, _weights: Weights, values: Array) -> Array:
    return ACTIVATIONS[operation.kind](values, operation)


def folded(operation: Norm, weights: Weights) -> tuple[Array, Array]:
    """Return the gain and shift (channels,) of the ``affine`` that does the same."""
    gain = 1 / np.sqrt(weights[operation.variance].astype(np.float64) + operation.epsilon)
    if operation.gain is not None:
        gain = gain * weights[operation.gain]
    shift = -weights[operation.mean] * gain
    if operation.shift is not None:
        shift = shift + weights[operation.shift]
    return gain.astype(np.float32), shift.astype(np.float32)


@apply.register
def _norm(operation: Norm, weights: Weights, values: Array) -> Array:
    gain, shift = folded(operation, weights)
    shape = (1, -1, *[1] * (values.ndim - 2))
    return values * gain.reshape(shape) + shift.reshape(shape)


@apply.register
def _affine(operation: Affine, weights: Weights, values: Array) -> Array:
    shape = (1, -1, *[1] * (values.ndim - 2))
    return values * weights[operation.gain].reshape(shape) + weights[operation.shift].reshape(shape)


@apply.register
def _local_response(operation: LocalResponse, _weights: Weights, values: Array) -> Array:
    before = operation.size // 2
    padding = [(0, 0), (before, (operation.size - 1) // 2), *[(0, 0)] * (values.ndim - 2)]
    squares = np.pad(values * values, padding)
    sums = sliding_window_view(squares, operation.size, axis=1).mean(-1, dtype=np.float32)
    divisor: Array = (np.float32(operation.k) + np.float32(operation.alpha) * sums) ** np.float32(operation.beta)
    return values / divisor


@apply.register
def _gru(operation: Gru, weights: Weights, values: Array) -> Array:
    width = weights[operation.state_weight].shape[1]
    inputs = _plus(values @ weights[operation.input_weight].T, weights, operation.input_bias, last=True)
    state_weight = weights[operation.state_weight].T
    state = np.zeros((len(values), width), np.float32)
    for step in range(values.shape[1]):
        ours = inputs[:, step]
        theirs = _plus(state @ state_weight, weights, operation.state_bias)
        reset, update = np.split(_sigmoid(ours[:, : 2 * width] + theirs[:, : 2 * width]), 2, axis=1)
        new = np.tanh(ours[:, 2 * width :] + reset * theirs[:, 2 * width :])
        state = (1 - update) * new + update * state
    return state


def _plus(values: Array, weights: Weights, bias: str | None, *, last: bool = False) -> Array:
    """Return values with a bias per channel added: dimension 1, or the last."""
    if bias is None:
        return values
    shape = (-1,) if last else (1, -1, *[1] * (values.ndim - 2))
    return values + weights[bias].reshape(shape)


def _padded(values: Array, padding: Sequence[int], filler: float, extra: Sequence[int] = ()) -> Array:
    """Return values with ``padding`` on both sides of each place dimension, and ``extra`` more at its end."""
    extra = extra or [0] * len(padding)
    if not any(padding) and not any(extra):
        return values
    sides = [(0, 0), (0, 0), *((size, size + more) for size, more in zip(padding, extra, strict=True))]
    return np.pad(values, sides, constant_values=np.float32(filler))


def _windows(values: Array, kernel: Sequence[int], stride: Sequence[int]) -> Array:
    """Return a view of all windows: (n, channels, *places, *kernel)."""
    windows = sliding_window_view(values, tuple(kernel), axis=tuple(range(2, values.ndim)))
    return windows[_every(stride, before=2)]


def _every(steps: Sequence[int], *, before: int) -> tuple[slice, ...]:
    """Return the index that takes every so many entries of the dimensions after the first ones."""
    return (*(slice(None),) * before, *(slice(None, None, step) for step in steps))


def window_overhang(size: int, kernel: int, stride: int, padding: int) -> int:
    """Return by how much the last window may reach over the end: it must begin before it (torch's ``ceil_mode``)."""
    places = -(-(size + 2 * padding - kernel) // stride) + 1
    if (places - 1) * stride >= size + padding:
        places -= 1
    return max(0, (places - 1) * stride + kernel - size - 2 * padding)


def _sigmoid(values: Array) -> Array:
    found: Array = np.tanh(values * np.float32(0.5))
    return (found + 1) * np.float32(0.5)


def _erf(values: Array) -> Array:
    """Return the error function, to float32's accuracy (numpy has none)."""
    return np.asarray(np.vectorize(math.erf, otypes=[np.float32])(values))


ACTIVATIONS: Mapping[str, Callable[[Array, Activation], Array]] = {
    "relu": lambda values, _: np.maximum(values, 0),
    "leaky_relu": lambda values, chosen: np.where(values > 0, values, np.float32(chosen.slope) * values),
    "elu": lambda values, chosen: np.where(
        values > 0, values, np.float32(chosen.alpha) * np.expm1(np.minimum(values, 0))
    ),
    "tanh": lambda values, _: np.tanh(values),
    "sigmoid": lambda values, _: _sigmoid(values),
    "gelu": lambda values, _: values * np.float32(0.5) * (1 + _erf(values / np.float32(math.sqrt(2)))),
    "silu": lambda values, _: values * _sigmoid(values),
    "relu6": lambda values, _: np.clip(values, 0, 6),
    "hardtanh": lambda values, _: np.clip(values, -1, 1),
}
