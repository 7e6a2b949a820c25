"""Whether a user's model can be learned by masks on the node's data: found out before the first round, not in it."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn

from dslnode.data.dataset import DataSet
from dslnode.errors import ModelError
from dslnode.learning import masking
from dslnode.protocol.mask import MaskLayout


def check_model(model: nn.Module, data: DataSet, batch_size: int) -> MaskLayout:
    """Return the layout of the model's maskable weights.

    Raises ``ModelError``, saying what to fix, if there are none or the model does not fit the data.
    """
    if any(nn.parameter.is_lazy(parameter) for parameter in model.parameters()):
        raise ModelError("the model has lazy layers, whose weights have no shape yet; give their sizes")
    layout = masking.layout_of(model)
    if not layout.layers:
        raise ModelError("the model has no parameter with two dimensions or more, so there is nothing to mask")
    _try_batch(copy.deepcopy(model), data, min(batch_size, len(data.train)))
    return layout


def _try_batch(model: nn.Module, data: DataSet, batch_size: int) -> None:
    """Run the first minibatch on a copy, in training mode: batch norm wants more than one example there."""
    images = torch.from_numpy(data.train.take(np.arange(batch_size)).images)
    model.train()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=()):
            logits = model(images)
    except Exception as error:  # it is the user's code, so anything can come out of it
        raise ModelError(
            f"the model does not take a minibatch of {len(images)} inputs of shape {tuple(images.shape[1:])}: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(logits, Tensor) or logits.shape != (len(images), data.class_count):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ModelError(
            f"the model must return a tensor of shape (batch, {data.class_count}), one logit a class of "
            f"the data set; for a batch of {len(images)} it returned {got}"
        )
