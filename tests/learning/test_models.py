"""The built-in models: shapes, weight counts, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from dslnode.data.target import Task
from dslnode.errors import ModelError
from dslnode.learning.models import FromLastValues, alexnet, autoencoder, cnn, cnn1d, gru, mlp, suited
from dslnode.learning.parameter_roles import Role, parameter_roles

Build = Callable[[tuple[int, ...], int], nn.Module]


def weights(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("build", "shape", "classes", "count"),
    [
        (mlp, (1, 8, 8), 10, 64 * 256 + 256 * 10),
        (mlp, (1, 28, 28), 10, 784 * 512 + 512 * 10),
        (mlp, (5,), 3, 5 * 256 + 256 * 3 + (256 + 2 * 3)),
        (cnn, (1, 28, 28), 10, 316_704),
        (cnn, (3, 16, 16), 4, 3 * 32 * 25 + 32 * 64 * 25 + 64 * 256 + 256 * 4),
        (alexnet, (3, 32, 32), 10, 1_227_328),
    ],
)
def test_weight_counts(build: Build, shape: tuple[int, ...], classes: int, count: int) -> None:
    assert weights(build(shape, classes)) == count


@pytest.mark.parametrize(
    ("build", "shape"),
    [(mlp, (7,)), (mlp, (2, 3, 4, 5)), (autoencoder, (6,)), (gru, (1, 3)), (suited, (9,)), (suited, (9, 2))]
    + [(cnn1d, (steps, 3)) for steps in (4, 5, 6, 7, 64)]
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


def test_a_forecast_that_has_learned_nothing_is_that_nothing_changes() -> None:
    answer = nn.Linear(12, 2)
    nn.init.zeros_(answer.weight)
    nn.init.zeros_(answer.bias)
    series = torch.randn(5, 4, 3)
    model = nn.Sequential(nn.Flatten(), answer)
    assert torch.equal(FromLastValues(model, (9, 11), features=3)(series), series[:, -1, [0, 2]])


def test_a_forecast_follows_a_series_that_drifts() -> None:
    model = FromLastValues(mlp((4, 1), 2, task="forecast"), (3, 3), features=1)
    series = torch.randn(5, 4, 1)
    assert torch.allclose(model(series + 100), model(series) + 100, atol=1e-4)
    features = {role.name: role.role for role in parameter_roles(model)}
    assert features["gain"] is Role.LOCAL


def test_the_hidden_width_can_be_chosen() -> None:
    assert weights(mlp((1, 2, 5), 2, hidden=7)) == 10 * 7 + 7 * 2


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


NUMBERS = [(mlp, (5,)), (mlp, (1, 28, 28)), (cnn, (1, 28, 28)), (cnn1d, (12, 3)), (gru, (12, 3))]


@pytest.mark.parametrize(("build", "shape"), NUMBERS)
def test_numbers_start_near_the_mean_and_only_matrices_are_masked(
    build: Callable[..., nn.Module], shape: tuple[int, ...]
) -> None:
    torch.manual_seed(1)
    model = build(shape, 2, task=Task.REGRESSION)
    with torch.no_grad():
        assert model(torch.zeros(1, *shape)).abs().max() < 0.2
    for parameter in parameter_roles(model):
        assert (parameter.role is Role.MASKED) == (len(parameter.shape) >= 2)
        assert parameter.role is not Role.FIXED


def test_an_autoencoder_squeezes_its_input() -> None:
    outputs = [layer.out_features for layer in autoencoder((10,), 10).modules() if isinstance(layer, nn.Linear)]
    assert outputs == [128, 5, 128, 10]


@pytest.mark.parametrize(
    ("shape", "task", "same"),
    [
        ((1, 8, 8), Task.CLASSIFICATION, mlp),
        ((5,), Task.REGRESSION, mlp),
        ((12, 3), Task.FORECAST, cnn1d),
        ((3, 3), Task.FORECAST, mlp),
    ],
)
def test_what_suits_task_and_shape(shape: tuple[int, ...], task: str, same: Callable[..., nn.Module]) -> None:
    found, expected = suited(shape, 4, task), same(shape, 4, task=task)
    assert [p.shape for p in found.parameters()] == [p.shape for p in expected.parameters()]


def test_anomalies_are_what_an_autoencoder_cannot_reconstruct() -> None:
    model = suited((12, 3), 36, Task.ANOMALY)
    assert [p.shape for p in model.parameters()] == [p.shape for p in autoencoder((12, 3), 36).parameters()]


@pytest.mark.parametrize(("build", "shape"), [(cnn1d, (3, 9)), (cnn1d, (9,)), (gru, (1, 28, 28))])
def test_models_of_series_refuse_what_is_none(build: Build, shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"needs series of at least .* steps \(steps, features\).*use mlp"):
        build(shape, 2)
