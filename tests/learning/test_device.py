"""Where the network runs: guarded where there is no such device, and all else stays on the CPU."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from dslnode.data.dataset import load_data_set
from dslnode.data.partition import partition
from dslnode.errors import SettingsError
from dslnode.learning import device
from dslnode.learning.learner import Learner
from dslnode.learning.options import Device, TrainingOptions


class WithBias(nn.Module):
    """A layer on one device."""

    def __init__(self, where: str = "cpu") -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(10, 64, device=where))
        self.bias = nn.Parameter(torch.zeros(10, device=where))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(inputs.flatten(1), self.weight, self.bias)


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_named_with_those_that_are(name: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(device.AVAILABLE, name, lambda: False)
    with pytest.raises(SettingsError, match=rf"device: torch .* finds no {name} here, only .*cpu.*set device to cpu"):
        Learner("mlp", partition(load_data_set("digits"), seed=1), TrainingOptions(device=name))


def test_a_device_that_is_there_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(device.AVAILABLE, "cuda", lambda: True)
    assert device.torch_device("cuda") == torch.device("cuda")
    assert device.torch_device("cpu") == torch.device("cpu")


def test_weights_and_inputs_go_to_the_device() -> None:
    """Tensors on ``meta`` have no values, but refuse to meet those of another device."""
    data = partition(load_data_set("digits"), seed=1)
    network = Learner(WithBias(), data).network
    elsewhere = replace(network, model=WithBias("meta"), device=torch.device("meta"))
    inputs = torch.zeros(4, *data.input_shape)
    output = elsewhere.output(elsewhere.masked_weights(torch.ones(network.layout.size)), inputs)
    assert (output.device.type, output.shape) == ("meta", (4, 10))
