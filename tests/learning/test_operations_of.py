"""What numpy makes of a model's operations is what torch makes of the model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dslnode.errors import ModelError
from dslnode.inference.numpy_runtime import run
from dslnode.learning.models import FromLastValues, alexnet, autoencoder, cnn, cnn1d, gru, mlp
from dslnode.learning.operations_of import operations_of

CASES: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "mlp": (mlp((1, 8, 8), 10), (1, 8, 8)),
    "mlp with scales": (mlp((7,), 2, task="regression"), (7,)),
    "cnn1d": (cnn1d((12, 3), 4), (12, 3)),
    "gru": (gru((9, 3), 4), (9, 3)),
    "from last values": (FromLastValues(mlp((9, 3), 2, task="forecast"), (24, 26), features=3), (9, 3)),
    "autoencoder": (autoencoder((20,), 20), (20,)),
    "cnn": (cnn((1, 28, 28), 10), (1, 28, 28)),
    "alexnet": (alexnet((3, 32, 32), 10), (3, 32, 32)),
    "convolution with all": (
        nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(2, 1), groups=2),
        (4, 9, 7),
    ),
    "convolution over steps": (nn.Conv1d(3, 5, 3, padding=1), (3, 11)),
    "pooling over steps": (nn.Sequential(nn.MaxPool1d(2), nn.AvgPool1d(3, 1, 1)), (3, 11)),
    "pooling that reaches over": (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 6, 8)),
    "mean pooling": (nn.AvgPool2d(2, 2, 1), (2, 6, 8)),
    "global mean": (nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3)), (2, 5, 6)),
    "a linear layer over steps": (nn.Linear(3, 3), (5, 3)),
    "norms": (
        nn.Sequential(nn.BatchNorm2d(3), nn.Dropout2d(), nn.Flatten(), nn.BatchNorm1d(12, affine=False)),
        (3, 2, 2),
    ),
    "activations": (
        nn.Sequential(
            *(nn.ELU(0.7), nn.LeakyReLU(0.2), nn.GELU(), nn.SiLU(), nn.Tanh(), nn.Sigmoid(), nn.ReLU6()),
            *(nn.Hardtanh(), nn.Identity(), nn.ReLU()),
        ),
        (40,),
    ),
}


def weights_of(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("name", CASES)
def test_numpy_and_torch_agree(name: str) -> None:
    model, shape = CASES[name]
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
    inputs = torch.randn(5, *shape)
    operations = operations_of(model)
    with torch.no_grad():
        expected = model.eval()(inputs).numpy()
    found = run(operations, weights_of(model), inputs.numpy())
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_a_gru_answers_with_its_last_state(bias: bool) -> None:
    model = nn.GRU(3, 4, batch_first=True, bias=bias)
    series = torch.randn(6, 9, 3)
    operations = operations_of(model)
    with torch.no_grad():
        expected = model(series)[0][:, -1].numpy()
    found = run(operations, weights_of(model), series.numpy())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (nn.Sequential(nn.Flatten(), nn.LSTM(3, 4)), "1 is a LSTM, which cannot be said without torch"),
        (nn.Transformer(8, 2, 1, 1), "the model is a Transformer"),
        (nn.Sequential(nn.GRU(3, 4, 2, batch_first=True)), "0: only a GRU of one layer"),
        (nn.Conv2d(1, 1, 3, padding="same"), "only a padding with a number of zeros"),
        (nn.MaxPool2d(3, dilation=2), "without dilation"),
        (nn.AdaptiveAvgPool2d(2), "to one value per channel"),
        (nn.BatchNorm1d(3, track_running_stats=False), "without running statistics"),
        (nn.GELU("tanh"), "exact GELU"),
        (nn.Flatten(0), "Flatten of all dimensions"),
    ],
)
def test_what_cannot_be_exported_is_named(model: nn.Module, complaint: str) -> None:
    with pytest.raises(ModelError, match=complaint):
        operations_of(model)


def test_values_of_another_shape_are_refused_with_the_operation() -> None:
    model = mlp((1, 8, 8), 10)
    with pytest.raises(ModelError, match=r"operation 1 of the model \(linear\) does not fit values of the shape"):
        run(operations_of(model), weights_of(model), np.zeros((2, 9), np.float32))
