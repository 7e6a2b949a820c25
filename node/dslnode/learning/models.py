"""The built-in models: an untrained network for inputs of a given shape and a task, every weight matrix maskable.

Classifiers of images have no biases, so that the mask is all there is to learn. All others have biases and a scale of
their outputs, which each node trains on its own data and never sends: without them no model answers differently to
all-zero inputs, and none meets numbers of any size. Weights here are torch's defaults; `masking` replaces them by the
frozen ones that all nodes share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dslnode.data.target import Task
from dslnode.errors import ModelError

MAX_LAYER_WEIGHTS = 2**28
"""The most weights in one layer: 1 GiB as float32, and as much again for the scores."""
CNN_SMALLEST = 16
ALEXNET_SMALLEST = 22
CNN1D_SMALLEST = 4
GRU_WIDTH = 64
CODE_WIDTH = 32
FIRST_SCALE = 0.01
"""Of outputs that are numbers: what has learned nothing then answers the mean, as the trivial predictor does."""


class LocalScale(nn.Module):
    """Scales and shifts each output by numbers that the node itself trains: (n, outputs) to (n, outputs)."""

    def __init__(self, outputs: int, first: float) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((outputs,), first))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, outputs: Tensor) -> Tensor:
        """Return the outputs scaled, then shifted."""
        return outputs * self.gain + self.bias


class FromLastValues(nn.Module):
    """A model that sees how a series differs from its last values, and foretells how it goes on from there.

    Takes (n, steps, features) and gives (n, outputs). ``places`` say where in the flattened input each output's last
    known value stands. It is subtracted from all steps of its feature, and added to the output times a gain that the
    node itself trains. What has learned nothing foretells that nothing changes, and a series that drifts never leaves
    the range that the model was trained in.
    """

    def __init__(self, model: nn.Module, places: Sequence[int], features: int) -> None:
        super().__init__()
        self.model = model
        self.gain = nn.Parameter(torch.ones(len(places)))
        self.columns = sorted({place % features for place in places})
        subtracted = torch.zeros(features)
        subtracted[self.columns] = 1.0
        self.places: Tensor
        self.subtracted: Tensor
        self.register_buffer("places", torch.tensor(places), persistent=False)
        self.register_buffer("subtracted", subtracted, persistent=False)

    def forward(self, series: Tensor) -> Tensor:
        """Return the last values times their gains, plus what the model says about the differences."""
        changes: Tensor = self.model(series - series[:, -1:] * self.subtracted)
        return changes + self.gain * series.flatten(1).index_select(1, self.places)


class Recurrent(nn.Module):
    """One GRU over the steps, and a linear layer on its last output: (n, steps, features) to (n, outputs)."""

    def __init__(self, features: int, answer: list[nn.Module]) -> None:
        super().__init__()
        self.gru = nn.GRU(features, GRU_WIDTH, batch_first=True)
        self.answer = nn.Sequential(*answer)

    def forward(self, series: Tensor) -> Tensor:
        """Return what the last step says."""
        steps, _ = self.gru(series)
        found: Tensor = self.answer(steps[:, -1])
        return found


class StepsLast(nn.Module):
    """Turns (n, steps, features) into (n, features, steps), as convolutions want it."""

    def forward(self, series: Tensor) -> Tensor:
        """Return the series with its steps last."""
        return series.transpose(1, 2)


def suited(input_shape: tuple[int, ...], class_count: int, task: str = Task.CLASSIFICATION) -> nn.Module:
    """Build what suits task and shape: autoencoder for anomalies, cnn1d for (steps, features), else mlp."""
    if task == Task.ANOMALY and class_count == math.prod(input_shape):
        return autoencoder(input_shape, class_count)
    build = cnn1d if len(input_shape) == 2 and input_shape[0] >= CNN1D_SMALLEST else mlp
    return build(input_shape, class_count, task=task)


def mlp(
    input_shape: tuple[int, ...], class_count: int, hidden: int | None = None, task: str = Task.CLASSIFICATION
) -> nn.Module:
    """Build one hidden layer of ReLU units for inputs of any shape: (n, *input_shape) to (n, class_count).

    `hidden` is its width; by default 256 for up to 64 features, else 512. Raises ModelError if it is too large.
    """
    features = math.prod(input_shape)
    width = hidden if hidden is not None else (256 if features <= 64 else 512)
    local = _has_local(input_shape, task)
    return nn.Sequential(
        nn.Flatten(), _linear(features, width, bias=local), nn.ReLU(), *_answer(width, class_count, task, local)
    )


def autoencoder(input_shape: tuple[int, ...], class_count: int) -> nn.Module:
    """Build a network that must squeeze its input through few units: (n, *input_shape) to (n, class_count).

    Raises ModelError if it is too large.
    """
    features = math.prod(input_shape)
    width, code = (128 if features <= 64 else 256), max(2, min(CODE_WIDTH, features // 2))
    return nn.Sequential(
        nn.Flatten(),
        _linear(features, width, bias=True),
        nn.ReLU(),
        _linear(width, code, bias=True),
        _linear(code, width, bias=True),
        nn.ReLU(),
        *_answer(width, class_count, Task.ANOMALY, local=True),
    )


def cnn1d(input_shape: tuple[int, ...], class_count: int, task: str = Task.CLASSIFICATION) -> nn.Module:
    """Build two convolutions over the steps of a series (32, 64 channels), a hidden layer of 128 and the outputs.

    Takes (n, steps, features) of at least 4 steps and gives (n, class_count); raises ModelError for other shapes.
    """
    steps, features = _series_shape("cnn1d", input_shape, CNN1D_SMALLEST)
    return nn.Sequential(
        StepsLast(),
        nn.Conv1d(features, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Flatten(),
        _linear(64 * (steps // 2 // 2), 128, bias=True),
        nn.ReLU(),
        *_answer(128, class_count, task, local=True),
    )


def gru(input_shape: tuple[int, ...], class_count: int, task: str = Task.CLASSIFICATION) -> nn.Module:
    """Build a gated recurrent unit of width 64 over the steps of a series, and the output layer.

    Takes (n, steps, features) and gives (n, class_count); raises ModelError for other shapes.
    """
    _, features = _series_shape("gru", input_shape, 1)
    return Recurrent(features, _answer(GRU_WIDTH, class_count, task, local=True))


def cnn(input_shape: tuple[int, ...], class_count: int, task: str = Task.CLASSIFICATION) -> nn.Module:
    """Build two 5x5 convolutions (32, 64 channels), a hidden layer of 256 and the output layer.

    Takes (n, channels, height, width) of at least 16x16 and gives (n, class_count); raises ModelError for
    other shapes.
    """
    channels, height, width = _image_shape("cnn", input_shape, CNN_SMALLEST)
    local = _has_local(input_shape, task)
    # A 5x5 convolution takes 4 off each side, pooling halves it and drops an odd rest; twice.
    rows, columns = (((side - 4) // 2 - 4) // 2 for side in (height, width))
    return nn.Sequential(
        nn.Conv2d(channels, 32, 5, bias=local),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, bias=local),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        _linear(64 * rows * columns, 256, bias=local),
        nn.ReLU(),
        *_answer(256, class_count, task, local),
    )


def alexnet(input_shape: tuple[int, ...], class_count: int) -> nn.Module:
    """Build the network of the MCE-PL authors' experiment: three 5x5 convolutions (64, 128, 256 channels).

    Takes (n, channels, height, width) of at least 22x22 and gives (n, class_count); raises ModelError for
    other shapes. For (3, 32, 32) and 10 classes it has 1,227,328 weights.
    """
    channels, height, width = _image_shape("alexnet", input_shape, ALEXNET_SMALLEST)
    rows, columns = (_alexnet_side(side) for side in (height, width))
    return nn.Sequential(
        *_alexnet_block(channels, 64),
        *_alexnet_block(64, 128),
        *_alexnet_block(128, 256),
        nn.Flatten(),
        _linear(256 * rows * columns, 192),
        nn.ELU(),
        _linear(192, class_count),
    )


def _alexnet_block(inputs: int, outputs: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 5, padding=1, bias=False),
        nn.ELU(),
        nn.LocalResponseNorm(5),
        nn.MaxPool2d(3, stride=2, ceil_mode=True),
    ]


def _alexnet_side(side: int) -> int:
    """Return the height or width after three blocks: 5x5 with padding 1 takes 2 off, pooling halves."""
    for _ in range(3):
        side = (side - 2) // 2
    return side


def _image_shape(name: str, input_shape: tuple[int, ...], smallest: int) -> tuple[int, int, int]:
    if len(input_shape) != 3 or min(input_shape[1:]) < smallest:
        raise ModelError(
            f"{name} needs images of at least {smallest}x{smallest} (channels, height, width),"
            f" but the data set's have the shape {tuple(input_shape)}; use mlp"
        )
    channels, height, width = input_shape
    return channels, height, width


def _series_shape(name: str, input_shape: tuple[int, ...], fewest: int) -> tuple[int, int]:
    if len(input_shape) != 2 or input_shape[0] < fewest:
        raise ModelError(
            f"{name} needs series of at least {fewest} steps (steps, features),"
            f" but the data set's have the shape {tuple(input_shape)}; use mlp"
        )
    return input_shape[0], input_shape[1]


def _has_local(input_shape: tuple[int, ...], task: str) -> bool:
    """Tell whether the node trains biases of its own: all but classifiers of images."""
    return len(input_shape) < 3 or task != Task.CLASSIFICATION


def _answer(inputs: int, outputs: int, task: str, local: bool) -> list[nn.Module]:
    """Build the last layer, and where the node has parameters of its own, their scale."""
    logits = task in (Task.CLASSIFICATION, Task.MULTILABEL)
    scale = [LocalScale(outputs, 1.0 if logits else FIRST_SCALE)] if local else []
    return [_linear(inputs, outputs), *scale]


def _linear(inputs: int, outputs: int, *, bias: bool = False) -> nn.Linear:
    """Build a layer, after a check that its weights fit."""
    if not 0 < inputs * outputs <= MAX_LAYER_WEIGHTS:
        raise ModelError(
            f"a layer of {inputs} inputs and {outputs} outputs has {inputs * outputs} weights, where"
            f" 1..{MAX_LAYER_WEIGHTS} are allowed; use smaller images or a model of your own"
        )
    return nn.Linear(inputs, outputs, bias=bias)
