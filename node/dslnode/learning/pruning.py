"""A smaller model of the same answers: without the units that a mask left dead.

A unit is dead if nothing leads into it (then it is constant, and what it adds is folded into the next layer's bias)
or if nothing reads it. Dropping one can kill others, so this goes on until nothing changes. A local response norm on
the way goes on with the channels that are left, each at its place (``PlacedResponseNorm``).
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from dslnode.learning.layer_graph import Chain, Weighted, find_chains
from dslnode.learning.placed_norm import PlacedResponseNorm

TOLERANCE = 1e-4
"""How far the answers may be off, as a part of the largest logit: float32 sums in another order."""


def prune_dead_units(model: nn.Module, inputs: Tensor) -> nn.Module:
    """Return a copy of ``model`` for evaluation, of the same class, whose layers have lost their dead units.

    Layers whose surroundings are not understood stay whole. If the answers to ``inputs``, shape
    ``(batch, *input_shape)``, should differ all the same, the whole model stays as it is.
    """
    whole = copy.deepcopy(model).eval()
    smaller = copy.deepcopy(whole)
    chains = find_chains(smaller)
    with torch.no_grad():
        while any(_drop_dead_units(smaller, chain) for chain in chains):
            pass  # from the first chain on again
        return smaller if _answers_alike(smaller, whole, inputs) else whole


def _drop_dead_units(model: nn.Module, chain: Chain) -> bool:
    """Drop the units between two layers that are dead by now, but for the last one; return whether there were any.

    Units that nothing reads are not dead where a norm lets them count for others.
    """
    producer, consumer = chain.producer, chain.consumer
    units = len(producer.weight)
    columns = consumer.weight.unflatten(1, (units, -1)).flatten(2)  # (outputs, units, weights that read the unit)
    bias = producer.weight.new_zeros(units) if producer.bias is None else producer.bias
    received = chain.propagate_constant(bias)
    constant = ~producer.weight.flatten(1).any(dim=1) & ~received.isnan()
    dead = constant & ((received == 0) | _sees_constants(consumer))
    if not chain.norms:
        dead |= ~columns.any(dim=2).any(dim=0)
    if dead.all():
        dead[0] = False  # a layer without units is none
    if dead.any():
        _fold(consumer, columns.sum(dim=2)[:, dead] @ received[dead])
        _keep(producer, consumer, ~dead)
        for name in chain.norms:
            _placed(model, name, units).keep(~dead)
    return bool(dead.any())


def _sees_constants(layer: Weighted) -> bool:
    """Tell whether a constant image looks the same to the layer everywhere: no border of padded zeros."""
    return isinstance(layer, nn.Linear) or layer.padding in ((0, 0), "valid")


def _fold(layer: Weighted, constants: Tensor) -> None:
    """Add to each output what the dead units gave it."""
    if constants.any():
        layer.bias = nn.Parameter(constants if layer.bias is None else layer.bias + constants)


def _keep(producer: Weighted, consumer: Weighted, living: Tensor) -> None:
    """Keep what leads into the ``living`` units, booleans of shape ``(units,)``, and what reads them."""
    shape = consumer.weight.shape
    columns = consumer.weight.unflatten(1, (len(living), -1))[:, living]
    consumer.weight = nn.Parameter(columns.reshape(shape[0], -1, *shape[2:]))
    producer.weight = nn.Parameter(producer.weight[living])
    if producer.bias is not None:
        producer.bias = nn.Parameter(producer.bias[living])
    for layer in (producer, consumer):
        _tell_sizes(layer)


def _placed(model: nn.Module, name: str, units: int) -> PlacedResponseNorm:
    """Return the model's norm of a name as one that can lose some of its ``units``."""
    norm = model.get_submodule(name)
    if not isinstance(norm, PlacedResponseNorm):
        assert isinstance(norm, nn.LocalResponseNorm)
        norm = PlacedResponseNorm(norm, units)
        model.set_submodule(name, norm)
    return norm


def _tell_sizes(layer: Weighted) -> None:
    outputs, inputs = layer.weight.shape[:2]
    if isinstance(layer, nn.Linear):
        layer.out_features, layer.in_features = outputs, inputs
    else:
        layer.out_channels, layer.in_channels = outputs, inputs


def _answers_alike(smaller: nn.Module, whole: nn.Module, inputs: Tensor) -> bool:
    try:
        outputs, expected = smaller(inputs), whole(inputs)
    except Exception:  # the user's forward may count on sizes
        return False
    return torch.allclose(outputs, expected, rtol=0, atol=TOLERANCE * float(expected.abs().max()))
