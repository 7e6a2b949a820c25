"""A convolutional network of exactly 206,922 weights, as large as the one on which p2pfl's bytes were counted."""

from __future__ import annotations

from torch import nn


def cnn(input_shape: tuple[int, ...], class_count: int) -> nn.Module:
    """Build it for 28x28 images of one channel and 10 classes: two 5x5 convolutions of 24, linear 384-403-90-10."""
    return nn.Sequential(
        nn.Conv2d(input_shape[0], 24, 5, bias=False),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(24, 24, 5, bias=False),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(384, 403, bias=False),
        nn.ReLU(),
        nn.Linear(403, 90, bias=False),
        nn.ReLU(),
        nn.Linear(90, class_count, bias=False),
    )
