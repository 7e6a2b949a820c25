"""The built-in models: shapes, weight counts, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from dslnode.errors import ModelError
from dslnode.learning.models import alexnet, cnn, mlp

Build = Callable[[tuple[int, ...], int], nn.Module]


def weights(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("build", "shape", "classes", "count"),
    [
        (mlp, (1, 8, 8), 10, 64 * 256 + 256 * 10),
        (mlp, (1, 28, 28), 10, 784 * 512 + 512 * 10),
        (mlp, (5,), 3, 5 * 256 + 256 * 3),
        (cnn, (1, 28, 28), 10, 316_704),
        (cnn, (3, 16, 16), 4, 3 * 32 * 25 + 32 * 64 * 25 + 64 * 256 + 256 * 4),
        (alexnet, (3, 32, 32), 10, 1_227_328),
    ],
)
def test_weight_counts(build: Build, shape: tuple[int, ...], classes: int, count: int) -> None:
    assert weights(build(shape, classes)) == count


@pytest.mark.parametrize(
    ("build", "shape"),
    [(mlp, (7,)), (mlp, (2, 3, 4, 5))]
    + [(cnn, (1, side, side + 3)) for side in range(16, 34)]
    + [(alexnet, (1, side, side + 1)) for side in (22, 23, 24, 25, 28, 31, 32)],
)
def test_the_output_fits_every_input_size(build: Build, shape: tuple[int, ...]) -> None:
    with torch.no_grad():
        assert build(shape, 6)(torch.zeros(2, *shape)).shape == (2, 6)


@pytest.mark.parametrize("build", [mlp, cnn, alexnet])
def test_every_weight_is_maskable(build: Build) -> None:
    model = build((1, 28, 28), 10)
    assert all(parameter.ndim >= 2 for parameter in model.parameters())
    assert not list(model.buffers())


def test_the_hidden_width_can_be_chosen() -> None:
    assert weights(mlp((10,), 2, hidden=7)) == 10 * 7 + 7 * 2


@pytest.mark.parametrize("shape", [(1, 15, 28), (1, 28, 15), (784,), (28, 28), (1, 1, 28, 28)])
def test_cnn_refuses_what_is_not_a_large_enough_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"cnn needs images of at least 16x16.*use mlp"):
        cnn(shape, 10)


def test_alexnet_refuses_small_images() -> None:
    with pytest.raises(ModelError, match=r"alexnet needs images of at least 22x22.*use mlp"):
        alexnet((3, 21, 22), 10)


def test_absurd_sizes_are_refused_before_they_are_allocated() -> None:
    with pytest.raises(ModelError, match="weights, where"):
        mlp((3, 100_000, 100_000), 10)
    with pytest.raises(ModelError, match="weights, where"):
        cnn((1, 100_000, 100_000), 10)
