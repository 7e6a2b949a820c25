"""Turns a model into operations that need no torch, with the names of its weights. What cannot be said so is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import nn

from dslnode.errors import ModelError
from dslnode.inference import operations as op
from dslnode.learning.models import FromLastValues, LocalScale, Recurrent, StepsLast


def operations_of(model: nn.Module) -> tuple[op.Operation, ...]:
    """Return what the model does in evaluation. ``ModelError`` names the first module that cannot be said so."""
    return tuple(_translated(model, ""))


def _translated(module: nn.Module, path: str) -> Iterator[op.Operation]:
    if isinstance(module, (nn.Sequential, Recurrent)):  # their parts come in the order in which they are used
        for name, child in module.named_children():
            yield from _translated(child, _joined(path, name))
    elif isinstance(module, FromLastValues):
        yield op.SubtractLast(columns=tuple(module.columns))
        yield from _translated(module.model, _joined(path, "model"))
        yield op.AddInputs(places=tuple(module.places.tolist()), gain=_joined(path, "gain"))
    elif not isinstance(module, IGNORED):
        translate = TRANSLATIONS.get(type(module))
        if translate is None:
            known = ", ".join(sorted(kind.__name__ for kind in TRANSLATIONS))
            raise ModelError(
                f"{path or 'the model'} is a {type(module).__name__}, which cannot be said without torch;"
                f" a Sequential of {known} can"
            )
        yield translate(module, path)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _named(module: nn.Module, path: str, name: str) -> str | None:
    return None if getattr(module, name, None) is None else _joined(path, name)


def _tuple(value: int | tuple[int, ...], axes: int) -> tuple[int, ...]:
    return (value,) * axes if isinstance(value, int) else tuple(value)


def _flatten(module: nn.Module, path: str) -> op.Operation:
    assert isinstance(module, nn.Flatten)
    if (module.start_dim, module.end_dim) != (1, -1):
        raise ModelError(f"{path}: only a Flatten of all dimensions can be exported")
    return op.Flatten()


def _linear(module: nn.Module, path: str) -> op.Operation:
    return op.Linear(weight=_joined(path, "weight"), bias=_named(module, path, "bias"))


def _convolution(module: nn.Module, path: str) -> op.Operation:
    assert isinstance(module, (nn.Conv1d, nn.Conv2d))
    if module.padding_mode != "zeros" or isinstance(module.padding, str):
        raise ModelError(f"{path}: only a padding with a number of zeros can be exported")
    return op.Convolution(
        weight=_joined(path, "weight"),
        bias=_named(module, path, "bias"),
        stride=tuple(module.stride),
        padding=tuple(module.padding),
        dilation=tuple(module.dilation),
        groups=module.groups,
    )


def _max_pool(module: nn.Module, path: str) -> op.Operation:
    assert isinstance(module, (nn.MaxPool1d, nn.MaxPool2d))
    axes = 1 if isinstance(module, nn.MaxPool1d) else 2
    if module.dilation not in (1, (1,) * axes) or module.return_indices:
        raise ModelError(f"{path}: only a pooling without dilation and indices can be exported")
    return op.Pool(
        kind="max",
        kernel=_tuple(module.kernel_size, axes),
        stride=_tuple(module.stride, axes),
        padding=_tuple(module.padding, axes),
        partial=module.ceil_mode,
    )


def _mean_pool(module: nn.Module, path: str) -> op.Operation:
    assert isinstance(module, (nn.AvgPool1d, nn.AvgPool2d))
    axes = 1 if isinstance(module, nn.AvgPool1d) else 2
    plain = module.count_include_pad and not module.ceil_mode and getattr(module, "divisor_override", None) is None
    if not plain:
        raise ModelError(f"{path}: only a mean that counts its padding and keeps inside can be exported")
    sizes = (module.kernel_size, module.stride, module.padding)
    kernel, stride, padding = (_tuple(size, axes) for size in sizes)
    return op.Pool(kind="mean", kernel=kernel, stride=stride, padding=padding)


def _global_mean(module: nn.Module, path: str) -> op.Operation:
    if getattr(module, "output_size", None) not in (1, (1,), (1, 1)):
        raise ModelError(f"{path}: only an adaptive mean to one value per channel can be exported")
    return op.GlobalMean()


def _norm(module: nn.Module, path: str) -> op.Operation:
    assert isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))
    if module.running_mean is None or module.running_var is None:
        raise ModelError(f"{path}: a normalisation without running statistics cannot be exported")
    return op.Norm(
        mean=_joined(path, "running_mean"),
        variance=_joined(path, "running_var"),
        epsilon=module.eps,
        gain=_named(module, path, "weight"),
        shift=_named(module, path, "bias"),
    )


def _local_scale(_: nn.Module, path: str) -> op.Operation:
    return op.Affine(gain=_joined(path, "gain"), shift=_joined(path, "bias"))


def _steps_last(_: nn.Module, __: str) -> op.Operation:
    return op.StepsLast()


def _local_response(module: nn.Module, _: str) -> op.Operation:
    assert isinstance(module, nn.LocalResponseNorm)
    return op.LocalResponse(size=module.size, alpha=module.alpha, beta=module.beta, k=module.k)


def _gru(module: nn.Module, path: str) -> op.Operation:
    assert isinstance(module, nn.GRU)
    if module.num_layers != 1 or module.bidirectional or not module.batch_first:
        raise ModelError(f"{path}: only a GRU of one layer and one direction with the batch first can be exported")
    biases = (None, None) if not module.bias else (_joined(path, "bias_ih_l0"), _joined(path, "bias_hh_l0"))
    return op.Gru(
        input_weight=_joined(path, "weight_ih_l0"),
        state_weight=_joined(path, "weight_hh_l0"),
        input_bias=biases[0],
        state_bias=biases[1],
    )


def _activation(kind: op.ActivationKind) -> Callable[[nn.Module, str], op.Operation]:
    def translate(module: nn.Module, path: str) -> op.Operation:
        if isinstance(module, nn.GELU) and module.approximate != "none":
            raise ModelError(f"{path}: only the exact GELU can be exported")
        slope, alpha = getattr(module, "negative_slope", 0.01), getattr(module, "alpha", 1.0)
        return op.Activation(kind=kind, slope=slope, alpha=alpha)

    return translate


IGNORED = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
"""Modules that do nothing in evaluation."""
TRANSLATIONS: dict[type[nn.Module], Callable[[nn.Module, str], op.Operation]] = {
    nn.Flatten: _flatten,
    nn.Linear: _linear,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.MaxPool1d: _max_pool,
    nn.MaxPool2d: _max_pool,
    nn.AvgPool1d: _mean_pool,
    nn.AvgPool2d: _mean_pool,
    nn.AdaptiveAvgPool1d: _global_mean,
    nn.AdaptiveAvgPool2d: _global_mean,
    nn.BatchNorm1d: _norm,
    nn.BatchNorm2d: _norm,
    nn.LocalResponseNorm: _local_response,
    nn.GRU: _gru,
    LocalScale: _local_scale,
    StepsLast: _steps_last,
    nn.ReLU: _activation("relu"),
    nn.ReLU6: _activation("relu6"),
    nn.LeakyReLU: _activation("leaky_relu"),
    nn.ELU: _activation("elu"),
    nn.Tanh: _activation("tanh"),
    nn.Sigmoid: _activation("sigmoid"),
    nn.GELU: _activation("gelu"),
    nn.SiLU: _activation("silu"),
    nn.Hardtanh: _activation("hardtanh"),
}
