"""What a model's parameters are for: which are masked, which are trained locally, and which stay as they are.

Masked are weight matrices, by the role of the module that owns them: dimensions alone would take the gains of a norm,
or the factors of a parametrization, for weights. Everything else belongs to the node: it is trained on the node's own
data, kept in its state, and never sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

WEIGHT_OWNERS = (
    *(nn.Linear, nn.Bilinear, nn.Embedding, nn.EmbeddingBag, nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention),
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)
"""Modules whose parameters with two dimensions or more are weight matrices."""
GAIN_NAMES = ("bias", "gain", "scale", "gamma", "beta", "norm")
"""Parts of names by which a parameter of a module that is not known says that it is no weight matrix."""


class Role(StrEnum):
    """What becomes of a parameter."""

    MASKED = "masked"  # frozen weights under a learned mask
    LOCAL = "local"  # trained by this node, and never sent
    FIXED = "fixed"  # as the model has it


@dataclass(frozen=True)
class ParameterRole:
    """A parameter's name and shape, its role, and why, in a few words."""

    name: str
    shape: tuple[int, ...]
    role: Role
    reason: str


def parameter_roles(model: nn.Module) -> tuple[ParameterRole, ...]:
    """Return the role of each parameter, in the model's order; a tied parameter counts once."""
    return tuple(
        ParameterRole(name, tuple(parameter.shape), *_role(model, name, parameter))
        for name, parameter in model.named_parameters()
    )


def names_of(roles: Sequence[ParameterRole], role: Role) -> Iterator[str]:
    """Yield the names of the parameters with a role."""
    return (parameter.name for parameter in roles if parameter.role is role)


def _role(model: nn.Module, name: str, parameter: nn.Parameter) -> tuple[Role, str]:
    if not parameter.is_floating_point() or not parameter.numel():
        return Role.FIXED, "no floating-point values"
    if not parameter.requires_grad:
        return Role.FIXED, "frozen by the model (requires_grad is False)"
    path, _, own_name = name.rpartition(".")
    owner = model.get_submodule(path)
    reason = _why_no_matrix(owner, own_name, parameter)
    return (Role.LOCAL, reason) if reason else (Role.MASKED, f"weights of {_kind(model, path, owner)}")


def _why_no_matrix(owner: nn.Module, own_name: str, parameter: nn.Parameter) -> str:
    """Return why a parameter is no weight matrix; empty if it is one."""
    if "norm" in type(owner).__name__.lower():
        return f"belongs to {type(owner).__name__}"
    is_matrix = (
        parameter.ndim >= 2 if isinstance(owner, WEIGHT_OWNERS) else sum(side > 1 for side in parameter.shape) > 1
    )
    if not is_matrix:
        return "one value per unit, no matrix"
    named = any(part in own_name.lower() for part in GAIN_NAMES) and not isinstance(owner, ParametrizationList)
    return f"named {own_name}" if named else ""


def _kind(model: nn.Module, path: str, owner: nn.Module) -> str:
    if not isinstance(owner, ParametrizationList):
        return type(owner).__name__
    parametrized = model.get_submodule(path.rpartition(".parametrizations.")[0])
    return f"{type(parametrized).__name__}, parametrized"
