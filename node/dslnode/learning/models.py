"""The built-in models: an untrained network for images of a given shape, every weight of it maskable.

They have no biases and no normalisation with weights of its own, so that the mask is all there is to learn.
Weights here are torch's defaults; `masking` replaces them by the frozen ones that all nodes share.
"""

from __future__ import annotations

import math

from torch import nn

from dslnode.errors import ModelError

MAX_LAYER_WEIGHTS = 2**28
"""The most weights in one layer: 1 GiB as float32, and as much again for the scores."""
CNN_SMALLEST = 16
ALEXNET_SMALLEST = 22


def mlp(input_shape: tuple[int, ...], class_count: int, hidden: int | None = None) -> nn.Module:
    """Build one hidden layer of ReLU units for inputs of any shape: (n, *input_shape) to (n, class_count).

    `hidden` is its width; by default 256 for up to 64 features, else 512. Raises ModelError if it is too large.
    """
    features = math.prod(input_shape)
    width = hidden if hidden is not None else (256 if features <= 64 else 512)
    return nn.Sequential(nn.Flatten(), _linear(features, width), nn.ReLU(), _linear(width, class_count))


def cnn(input_shape: tuple[int, ...], class_count: int) -> nn.Module:
    """Build two 5x5 convolutions (32, 64 channels), a hidden layer of 256 and the output layer.

    Takes (n, channels, height, width) of at least 16x16 and gives (n, class_count); raises ModelError for
    other shapes.
    """
    channels, height, width = _image_shape("cnn", input_shape, CNN_SMALLEST)
    # A 5x5 convolution takes 4 off each side, pooling halves it and drops an odd rest; twice.
    rows, columns = (((side - 4) // 2 - 4) // 2 for side in (height, width))
    return nn.Sequential(
        nn.Conv2d(channels, 32, 5, bias=False),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, bias=False),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        _linear(64 * rows * columns, 256),
        nn.ReLU(),
        _linear(256, class_count),
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


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """Build a layer without biases, after a check that its weights fit."""
    if not 0 < inputs * outputs <= MAX_LAYER_WEIGHTS:
        raise ModelError(
            f"a layer of {inputs} inputs and {outputs} outputs has {inputs * outputs} weights, where"
            f" 1..{MAX_LAYER_WEIGHTS} are allowed; use smaller images or a model of your own"
        )
    return nn.Linear(inputs, outputs, bias=False)
