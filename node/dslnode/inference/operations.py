"""The operations of a personal model as values: what a model's file says instead of code.

Weights are named, and found beside the operations. All inputs and outputs have the examples first.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Name = Annotated[str, Meta(min_length=1, max_length=255)]
Size = Annotated[int, Meta(ge=1, le=4_096)]
Padding = Annotated[int, Meta(ge=0, le=4_096)]
Place = Annotated[int, Meta(ge=0, lt=2**31)]
Places = Annotated[tuple[Place, ...], Meta(min_length=1, max_length=65_536)]
Plane = Annotated[tuple[Size, ...], Meta(min_length=1, max_length=2)]
Paddings = Annotated[tuple[Padding, ...], Meta(min_length=1, max_length=2)]

ActivationKind = Literal["relu", "leaky_relu", "elu", "tanh", "sigmoid", "gelu", "silu", "relu6", "hardtanh"]


class _Operation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op"):
    @property
    def op(self) -> str:
        """The operation's name in a file."""
        return str(self.__struct_config__.tag)


class Flatten(_Operation, tag="flatten", frozen=True, kw_only=True):
    """All values of an example in one row, the last dimension fastest."""


class StepsLast(_Operation, tag="steps_last", frozen=True, kw_only=True):
    """(n, steps, features) to (n, features, steps)."""


class Linear(_Operation, tag="linear", frozen=True, kw_only=True):
    """``inputs @ weight.T + bias``; the weight is (outputs, inputs)."""

    weight: Name
    bias: Name | None = None


class Convolution(_Operation, tag="convolution", frozen=True, kw_only=True):
    """Cross-correlation over one or two dimensions; the weight is (outputs, inputs per group, *kernel)."""

    weight: Name
    bias: Name | None = None
    stride: Plane
    padding: Paddings
    dilation: Plane
    groups: Size = 1


class Pool(_Operation, tag="pool", frozen=True, kw_only=True):
    """The largest value or the mean of each window. Where ``partial``, windows may reach over the end.

    A mean over the zeros of the padding counts them.
    """

    kind: Literal["max", "mean"]
    kernel: Plane
    stride: Plane
    padding: Paddings
    partial: bool = False


class GlobalMean(_Operation, tag="global_mean", frozen=True, kw_only=True):
    """The mean of each channel, which keeps dimensions of size 1."""


class Activation(_Operation, tag="activation", frozen=True, kw_only=True):
    """A function of each value: ``slope`` is that of leaky_relu, ``alpha`` that of elu."""

    kind: ActivationKind
    slope: float = 0.01
    alpha: float = 1.0


class Norm(_Operation, tag="norm", frozen=True, kw_only=True):
    """``(inputs - mean) / sqrt(variance + epsilon) * gain + shift`` per channel, dimension 1: a batch norm."""

    mean: Name
    variance: Name
    epsilon: float
    gain: Name | None = None
    shift: Name | None = None


class Affine(_Operation, tag="affine", frozen=True, kw_only=True):
    """``inputs * gain + shift`` per channel, dimension 1."""

    gain: Name
    shift: Name


class LocalResponse(_Operation, tag="local_response", frozen=True, kw_only=True):
    """Local response normalisation over ``size`` channels (Krizhevsky et al. 2012)."""

    size: Size
    alpha: float
    beta: float
    k: float


class Gru(_Operation, tag="gru", frozen=True, kw_only=True):
    """One gated recurrent unit over (n, steps, features), to the state after the last step, (n, width)."""

    input_weight: Name
    state_weight: Name
    input_bias: Name | None = None
    state_bias: Name | None = None


class SubtractLast(_Operation, tag="subtract_last", frozen=True, kw_only=True):
    """Of (n, steps, features), the last step is subtracted from all steps, in the features ``columns``."""

    columns: Places


class AddInputs(_Operation, tag="add_inputs", frozen=True, kw_only=True):
    """``values + gain * inputs`` of (n, outputs): ``places`` are those of the model's flattened inputs that are added.

    For each output one place. The inputs are those of the first operation.
    """

    places: Places
    gain: Name


Operation = (
    Flatten
    | StepsLast
    | Linear
    | Convolution
    | Pool
    | GlobalMean
    | Activation
    | Norm
    | Affine
    | LocalResponse
    | Gru
    | SubtractLast
    | AddInputs
)

ANSWER_UNITS = Affine(gain=".answer.scale", shift=".answer.centre")
"""What the class prior is added by, as the last operation. No tensor of somebody's module has such a name: the parts of
its path that torch puts dots between are never empty."""


def weight_names(operations: tuple[Operation, ...]) -> frozenset[str]:
    """Return the names of all weights that the operations need."""
    fields: tuple[str, ...] = ("weight", "bias", "gain", "shift", "mean", "variance")
    fields += ("input_weight", "state_weight", "input_bias", "state_bias")
    named = (getattr(operation, field, None) for operation in operations for field in fields)
    return frozenset(name for name in named if name is not None)
