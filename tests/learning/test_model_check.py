"""A user's model is tried on a copy before the first round: what a run would trip over is one line before it."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dslnode.data.dataset import DataSet, load_data_set
from dslnode.data.partition import partition
from dslnode.errors import ModelError
from dslnode.learning.learner import Learner
from dslnode.learning.options import TrainingOptions

OPTIONS = TrainingOptions(local_steps=2, batch_size=8)


@pytest.fixture(scope="module")
def digits() -> DataSet:
    return partition(load_data_set("digits"), samples_per_class=4, seed=1)


class Users(nn.Module):
    """A model with something in its way: ``forward`` is given."""

    def __init__(self, forward: Callable[[Any, Tensor], Any], **attributes: object) -> None:
        super().__init__()
        self.hidden = nn.Linear(64, 16)
        self.answer = nn.Linear(16, 10)
        self._forward = forward
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x: Tensor) -> Any:
        return self._forward(self, x)


def plain(model: Any, x: Tensor) -> Tensor:
    answer: Tensor = model.answer(torch.relu(model.hidden(x.flatten(1))))
    return answer


def old_weight_norm() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.Sequential(nn.Flatten(), nn.utils.weight_norm(nn.Linear(64, 10)))


def scripted() -> nn.Module:
    return torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))


def at_evaluation(model: Any, x: Tensor) -> Tensor:
    if len(x) == 1:
        raise IndexError("squeezed the batch away")
    return plain(model, x)


def ending(_model: Any, _x: Tensor) -> Tensor:
    raise SystemExit(2)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (old_weight_norm, r"module 1 \(Linear\) cannot be copied .*use torch.nn.utils.parametrizations.weight_norm"),
        (
            lambda: Users(plain, lock=threading.Lock()),
            r"the model \(Users\) cannot be copied \(TypeError: cannot pickle",
        ),
        (scripted, "the model is TorchScript, .*give the plain module"),
        (lambda: Users(at_evaluation), "IndexError: squeezed the batch away"),
        (lambda: Users(ending), "SystemExit: 2"),
        (lambda: Users(lambda model, x: plain(model, x).detach()), "does not require grad"),
        (lambda: Users(lambda model, x: plain(model, x).numpy()), "RuntimeError: Can't call numpy"),
        (lambda: Users(lambda model, x: (plain(model, x),)), "it returned tuple"),
        (lambda: Users(lambda model, x: plain(model, x)[:, :1]), r"it returned \(8, 1\)"),
        (
            lambda: nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(64, 9), nn.Linear(8, 10))),
            r"module 1.1 \(Linear\)",
        ),
    ],
)
def test_what_a_run_would_trip_over_is_one_line_that_names_the_module(
    digits: DataSet, build: Callable[[], nn.Module], said: str
) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        Learner(build(), digits, OPTIONS)
    assert "\n" not in str(caught.value)


def in_double(model: Any, x: Tensor) -> Tensor:
    return plain(model, x.double()).float()


@pytest.mark.parametrize(
    "build",
    [
        lambda: Users(in_double).double(),
        lambda: Users(plain).double(),
        lambda: Users(plain).half(),
        lambda: Users(plain, gain=nn.Buffer(torch.ones(16, dtype=torch.bfloat16))),
    ],
    ids=["double inside", "double", "half", "bfloat16 buffer"],
)
def test_models_of_other_precision_learn_and_their_state_comes_back(
    digits: DataSet, build: Callable[[], nn.Module]
) -> None:
    learner = Learner(build(), digits, OPTIONS)
    assert learner.train_round().steps == 2
    learner.aggregate([learner.mask])
    saved = learner.state()
    again = Learner(build(), digits, OPTIONS)
    again.restore(saved)
    assert again.mask == learner.mask
    assert again.score() == learner.score()


def test_the_trial_leaves_the_model_as_it_was(digits: DataSet) -> None:
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    Learner(model, digits, OPTIONS)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_biases_and_gains_are_trained_and_come_back_with_their_moments(digits: DataSet) -> None:
    def build() -> nn.Module:
        torch.manual_seed(1)
        return nn.Sequential(nn.Flatten(), nn.LayerNorm(64), nn.Linear(64, 10))

    uninterrupted, restarted = Learner(build(), digits, OPTIONS), Learner(build(), digits, OPTIONS)
    start = uninterrupted.state()
    uninterrupted.train_round(0)
    saved = uninterrupted.state()
    assert not (saved["local.2.bias"] == start["local.2.bias"]).all()
    assert {"first.1.weight", "second.2.bias"} <= saved.keys()
    restarted.restore(saved)
    for learner in (uninterrupted, restarted):
        learner.train_round(1)
    left, right = uninterrupted.state(), restarted.state()
    assert left.keys() == right.keys()
    assert all((left[name] == right[name]).all() for name in left)
