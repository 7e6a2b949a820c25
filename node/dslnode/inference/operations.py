"""The operations of a personal model as values: what a model's file says instead of code.

Weights are named, and found beside the operations. All inputs and outputs have the examples first.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=255)]
Size = Annotated[int, Field(ge=1, le=4_096)]
Padding = Annotated[int, Field(ge=0, le=4_096)]
Place = Annotated[int, Field(ge=0, lt=2**31)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Operation(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Flatten(_Operation):
    """All values of an example in one row, the last dimension fastest."""

    op: Literal["flatten"] = "flatten"


class StepsLast(_Operation):
    """(n, steps, features) to (n, features, steps)."""

    op: Literal["steps_last"] = "steps_last"


class Linear(_Operation):
    """``inputs @ weight.T + bias``; the weight is (outputs, inputs)."""

    op: Literal["linear"] = "linear"
    weight: Name
    bias: Name | None = None


class Convolution(_Operation):
    """Cross-correlation over one or two dimensions; the weight is (outputs, inputs per group, *kernel)."""

    op: Literal["convolution"] = "convolution"
    weight: Name
    bias: Name | None = None
    stride: tuple[Size, ...] = Field(min_length=1, max_length=2)
    padding: tuple[Padding, ...] = Field(min_length=1, max_length=2)
    dilation: tuple[Size, ...] = Field(min_length=1, max_length=2)
    groups: Size = 1


class Pool(_Operation):
    """The largest value or the mean of each window. Where ``partial``, windows may reach over the end.

    A mean over the zeros of the padding counts them.
    """

    op: Literal["pool"] = "pool"
    kind: Literal["max", "mean"]
    kernel: tuple[Size, ...] = Field(min_length=1, max_length=2)
    stride: tuple[Size, ...] = Field(min_length=1, max_length=2)
    padding: tuple[Padding, ...] = Field(min_length=1, max_length=2)
    partial: bool = False


class GlobalMean(_Operation):
    """The mean of each channel, which keeps dimensions of size 1."""

    op: Literal["global_mean"] = "global_mean"


class Activation(_Operation):
    """A function of each value: ``slope`` is that of leaky_relu, ``alpha`` that of elu."""

    op: Literal["activation"] = "activation"
    kind: Literal["relu", "leaky_relu", "elu", "tanh", "sigmoid", "gelu", "silu", "relu6", "hardtanh"]
    slope: Number = 0.01
    alpha: Number = 1.0


class Norm(_Operation):
    """``(inputs - mean) / sqrt(variance + epsilon) * gain + shift`` per channel, dimension 1: a batch norm."""

    op: Literal["norm"] = "norm"
    mean: Name
    variance: Name
    epsilon: Number
    gain: Name | None = None
    shift: Name | None = None


class Affine(_Operation):
    """``inputs * gain + shift`` per channel, dimension 1."""

    op: Literal["affine"] = "affine"
    gain: Name
    shift: Name


class LocalResponse(_Operation):
    """Local response normalisation over ``size`` channels (Krizhevsky et al. 2012)."""

    op: Literal["local_response"] = "local_response"
    size: Size
    alpha: Number
    beta: Number
    k: Number


class Gru(_Operation):
    """One gated recurrent unit over (n, steps, features), to the state after the last step, (n, width)."""

    op: Literal["gru"] = "gru"
    input_weight: Name
    state_weight: Name
    input_bias: Name | None = None
    state_bias: Name | None = None


class SubtractLast(_Operation):
    """Of (n, steps, features), the last step is subtracted from all steps, in the features ``columns``."""

    op: Literal["subtract_last"] = "subtract_last"
    columns: tuple[Place, ...] = Field(min_length=1, max_length=65_536)


class AddInputs(_Operation):
    """``values + gain * inputs`` of (n, outputs): ``places`` are those of the model's flattened inputs that are added.

    For each output one place. The inputs are those of the first operation.
    """

    op: Literal["add_inputs"] = "add_inputs"
    places: tuple[Place, ...] = Field(min_length=1, max_length=65_536)
    gain: Name


Operation = Annotated[
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
    | AddInputs,
    Field(discriminator="op"),
]


def weight_names(operations: tuple[Operation, ...]) -> frozenset[str]:
    """Return the names of all weights that the operations need."""
    fields: tuple[str, ...] = ("weight", "bias", "gain", "shift", "mean", "variance")
    fields += ("input_weight", "state_weight", "input_bias", "state_bias")
    named = (getattr(operation, field, None) for operation in operations for field in fields)
    return frozenset(name for name in named if name is not None)
