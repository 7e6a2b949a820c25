"""What is masked follows from a parameter's role: norms, gains and factors of parametrizations are no weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from dslnode.learning.masking import layout_of
from dslnode.learning.parameter_roles import Role, names_of, parameter_roles


class RMSNorm(nn.Module):
    """A norm that somebody wrote."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape))


class Users(nn.Module):
    """Parameters of a user's own module, by name and shape."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 3))
        self.gain = nn.Parameter(torch.ones(4, 3))
        self.channel_scale = nn.Parameter(torch.ones(1, 4, 1, 1))
        self.steps = nn.Parameter(torch.ones(4, 3, dtype=torch.int32), requires_grad=False)
        self.frozen = nn.Parameter(torch.ones(4, 3), requires_grad=False)


@pytest.mark.parametrize(
    ("build", "masked"),
    [
        (lambda: nn.Linear(5, 1), ["weight"]),
        (lambda: nn.Conv2d(1, 4, 3), ["weight"]),
        (lambda: nn.LayerNorm((1, 8, 8)), []),
        (lambda: nn.BatchNorm2d(4), []),
        (lambda: nn.GroupNorm(2, 4), []),
        (lambda: RMSNorm((3, 4)), []),
        (lambda: nn.PReLU(4), []),
        (lambda: weight_norm(nn.Linear(5, 4)), ["parametrizations.weight.original1"]),
        (lambda: nn.utils.parametrizations.orthogonal(nn.Linear(5, 4)), ["parametrizations.weight.original"]),
        (lambda: nn.GRU(3, 4), ["weight_ih_l0", "weight_hh_l0"]),
        (lambda: nn.MultiheadAttention(4, 2, add_bias_kv=True), ["in_proj_weight", "out_proj.weight"]),
        (lambda: nn.Embedding(9, 4), ["weight"]),
        (Users, ["weight"]),
    ],
)
def test_only_weight_matrices_are_masked(build: Callable[[], nn.Module], masked: list[str]) -> None:
    assert [layer.name for layer in layout_of(build()).layers] == masked


def test_what_is_not_masked_is_the_nodes_own_unless_the_user_froze_it() -> None:
    roles = parameter_roles(Users())
    assert list(names_of(roles, Role.LOCAL)) == ["gain", "channel_scale"]
    assert list(names_of(roles, Role.FIXED)) == ["steps", "frozen"]


def test_every_role_has_its_reason() -> None:
    reasons = {role.name: role.reason for role in parameter_roles(nn.Sequential(nn.Linear(5, 4), nn.LayerNorm((4, 4))))}
    assert reasons == {
        "0.weight": "weights of Linear",
        "0.bias": "one value per unit, no matrix",
        "1.weight": "belongs to LayerNorm",
        "1.bias": "belongs to LayerNorm",
    }


def test_a_tied_weight_counts_once() -> None:
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    assert len(parameter_roles(model)) == 1
