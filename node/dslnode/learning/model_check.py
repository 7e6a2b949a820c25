"""Whether a user's model can be learned by masks on the node's data: tried on a copy before the first round, not in it.

The trial does all that a run will do: it copies the model, runs it under a mask in training mode, takes the loss and
its gradients, evaluates a single example, and saves and restores the state. Whatever goes wrong is the model's fault,
and is told in one line that names the module.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from dslnode.data.dataset import DataSet
from dslnode.errors import ModelError
from dslnode.learning import masking, state_arrays
from dslnode.learning.frozen_network import FrozenNetwork
from dslnode.learning.group_sparsity import ChannelScales
from dslnode.learning.local_training import minibatch_gradient
from dslnode.learning.rng import borrowed_torch
from dslnode.learning.state import LearnerState
from dslnode.learning.tasks.task import LearningTask
from dslnode.protocol.mask import MaskLayout

LONGEST = 300  # characters of somebody else's error


def check_model(model: nn.Module, data: DataSet, task: LearningTask, batch_size: int) -> tuple[nn.Module, MaskLayout]:
    """Return the model to learn, and the layout of its masked weights.

    It is the given one, in single precision if it is of another and does not take the data as they are. Raises
    ``ModelError``, saying what to fix, if there is nothing to mask or a run would fail.
    """
    if any(nn.parameter.is_lazy(parameter) for parameter in model.parameters()):
        raise ModelError("the model has lazy layers, whose weights have no shape yet; give their sizes")
    _refuse_scripts(model)
    layout = masking.layout_of(model)
    if not layout.layers:
        raise ModelError(
            "the model has no weight matrix, such as that of a Linear or convolution layer, so there is nothing to mask"
        )
    batch = min(batch_size, len(data.train))
    try:
        _try_run(_copy_of(model), layout, data, task, batch)
    except ModelError:
        if all(parameter.dtype is torch.float32 for parameter in model.parameters()):
            raise
        single = _copy_of(model).float()
        _try_run(_copy_of(single), layout, data, task, batch)
        return single, layout
    return model, layout


def _refuse_scripts(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            where = f"module {name}" if name else "the model"
            raise ModelError(
                f"{where} is TorchScript, which takes no other weights than its own; give the plain module"
            )


def _copy_of(model: nn.Module) -> nn.Module:
    """Return a copy; ``ModelError`` naming the smallest module that cannot be copied."""
    try:
        return copy.deepcopy(model)
    except Exception as error:  # it is the user's code, so anything can come out of it
        name, module = _first_that_fails(model)
        hint = ""
        if any(key.endswith("_g") and f"{key[:-1]}v" in module._parameters for key in module._parameters):
            hint = "; use torch.nn.utils.parametrizations.weight_norm in place of torch.nn.utils.weight_norm"
        raise ModelError(f"{_named(name, module)} cannot be copied ({_short(error)}){hint}") from error


def _first_that_fails(model: nn.Module) -> tuple[str, nn.Module]:
    """Return the innermost module of which no copy can be made."""
    for name, module in reversed(list(model.named_modules())):
        try:
            copy.deepcopy(module)
        except Exception:
            return name, module
    return "", model


def _try_run(model: nn.Module, layout: MaskLayout, data: DataSet, task: LearningTask, batch_size: int) -> None:
    """Do with a copy all that a run will do. Batch norm wants more than one example in training mode."""
    weights = torch.cat([model.get_parameter(layer.name).detach().float().reshape(-1) for layer in layout.layers])
    keep = torch.ones(layout.size, dtype=torch.bool)
    outputs = data.output_count
    offset = torch.zeros(outputs)
    network = FrozenNetwork(model, layout, layout, None, weights, tuple(layer.size for layer in layout.layers), offset)
    batch = data.train.take(np.arange(batch_size))
    inputs, targets = torch.from_numpy(batch.images), torch.from_numpy(task.targets(batch))
    with borrowed_torch(), _explained(model, inputs) as inside:
        model.train()
        _check_outputs(network.output(network.masked_weights(keep), inputs), batch_size, outputs, task)
        inside.clear()
        minibatch_gradient(network, keep, task, inputs, targets)
        model.eval()
        with torch.no_grad():
            _check_outputs(network.output(network.masked_weights(keep), inputs[:1]), 1, outputs, task)
        _try_state(network, weights)


def _try_state(network: FrozenNetwork, weights: Tensor) -> None:
    zeros, channels = torch.zeros_like(weights), ChannelScales.at_one(network.layout)
    state = LearnerState(zeros, zeros, zeros, zeros, neighbour_mean=zeros, gradient=zeros, channels=channels)
    state_arrays.from_arrays(network, state_arrays.to_arrays(network, state))


@contextlib.contextmanager
def _explained(model: nn.Module, images: Tensor) -> Iterator[list[tuple[str, nn.Module]]]:
    """Turn what goes wrong into a ``ModelError`` that names the module in which it did; yields those being run."""
    inside: list[tuple[str, nn.Module]] = []
    handles = []
    for name, module in model.named_modules():
        if not isinstance(module, ParametrizationList):
            handles.append(module.register_forward_pre_hook(lambda m, _, name=name: inside.append((name, m))))
            handles.append(module.register_forward_hook(lambda *_: inside.pop() and None))
    try:
        yield inside
    except ModelError:
        raise
    except (Exception, SystemExit) as error:  # it is the user's code, so anything can come out of it
        where = _named(*inside[-1]) if inside else "the model"
        raise ModelError(
            f"{where} does not take a minibatch of {len(images)} inputs of shape {tuple(images.shape[1:])}: "
            f"{_short(error)}"
        ) from error
    finally:
        for handle in handles:
            handle.remove()


def _check_outputs(found: object, batch_size: int, outputs: int, task: LearningTask) -> None:
    if not isinstance(found, Tensor) or found.shape != (batch_size, outputs):
        got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        what = "one logit per class of the data set" if task.has_classes else "one number per output of the data set"
        raise ModelError(
            f"the model must return a tensor of shape (batch, {outputs}), {what}; "
            f"for a batch of {batch_size} it returned {got}"
        )


def _named(name: str, module: nn.Module) -> str:
    return f"module {name} ({type(module).__name__})" if name else f"the model ({type(module).__name__})"


def _short(error: BaseException) -> str:
    """Return an error in one line, cut."""
    text = " ".join(str(error).split())[:LONGEST]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
