"""A learner's state as the named arrays of a checkpoint, and back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from dslnode.errors import StateError
from dslnode.inference.saved_arrays import LOCAL
from dslnode.learning.frozen_network import FrozenNetwork
from dslnode.learning.group_sparsity import ChannelScales
from dslnode.learning.state import LearnerState

CHANNELS = "channels."
"""Before the names of what belongs to the channels' scales."""
FIRST, SECOND = "first.", "second."
"""Before the names of what is trained without a mask, for its moments."""
PEAK = "peak."
"""Before the names of layers and of what is trained without a mask, for their largest gradients."""


def to_arrays(network: FrozenNetwork, state: LearnerState) -> dict[str, np.ndarray]:
    """Return copies of all that a restart needs."""
    arrays = {
        "scores": state.scores,
        "average": state.average,
        "velocity": state.velocity,
        "squares": state.squares,
        "neighbour_mean": state.neighbour_mean,
    }
    if state.channels.have_moved:
        arrays.update(_by_name(state.channels))
    masked = {layer.name for layer in network.layout.layers}
    local = network.model.state_dict()
    arrays.update({LOCAL + name: tensor for name, tensor in local.items() if name not in masked})
    arrays.update({FIRST + name: tensor for name, tensor in state.first_moments.items()})
    arrays.update({SECOND + name: tensor for name, tensor in state.second_moments.items()})
    arrays.update({PEAK + name: torch.tensor(peak, dtype=torch.float64) for name, peak in state.peaks.items()})
    arrays["steps"] = torch.tensor(state.steps)
    arrays["collaboration_weight"] = torch.tensor(state.collaboration_weight, dtype=torch.float64)
    return {name: _array(tensor) for name, tensor in arrays.items()}


def from_arrays(network: FrozenNetwork, arrays: Mapping[str, np.ndarray]) -> LearnerState:
    """Return the state that ``arrays`` hold, and load what is local into the network's model.

    Raises ``StateError`` if they were made for another model.
    """
    whole = {name: tensor.numpy() for name, tensor in _by_name(ChannelScales.at_one(network.layout)).items()}
    constant = {"collaboration_weight": np.array(1.0), **whole}  # the first files lack it, and those without a lasso
    arrays = {**constant, **arrays}
    tensors = {}
    for name, shape in _shapes(network).items():
        if name not in arrays or arrays[name].shape != shape:
            raise StateError(f"the saved state does not fit this model: {name} is missing or of another shape")
        tensors[name] = torch.from_numpy(np.array(arrays[name]))
    local = {name.removeprefix(LOCAL): t for name, t in tensors.items() if name.startswith(LOCAL)}
    network.model.load_state_dict(local, strict=False)
    moments = {
        name: torch.from_numpy(np.array(array)).to(network.device)
        for name, array in arrays.items()
        if name in _moments(network)
    }
    return LearnerState(
        scores=tensors["scores"],
        average=tensors["average"],
        velocity=tensors["velocity"],
        squares=tensors["squares"],
        neighbour_mean=tensors["neighbour_mean"],
        gradient=torch.zeros(network.layout.size),
        channels=ChannelScales(
            scales=tensors[CHANNELS + "scales"],
            velocity=tensors[CHANNELS + "velocity"],
            squares=tensors[CHANNELS + "squares"],
        ),
        steps=int(tensors["steps"]),
        first_moments={name.removeprefix(FIRST): t for name, t in moments.items() if name.startswith(FIRST)},
        second_moments={name.removeprefix(SECOND): t for name, t in moments.items() if name.startswith(SECOND)},
        peaks={name: float(arrays[PEAK + name]) for name in _stepped(network) if PEAK + name in arrays},
        collaboration_weight=float(tensors["collaboration_weight"]),
    )


def _by_name(channels: ChannelScales) -> dict[str, torch.Tensor]:
    """Return what belongs to the channels' scales, by its name in a state."""
    own = {"scales": channels.scales, "velocity": channels.velocity, "squares": channels.squares}
    return {CHANNELS + name: tensor for name, tensor in own.items()}


def _array(tensor: torch.Tensor) -> np.ndarray:
    """Return a copy as numpy has it; values of a precision that numpy lacks become float32, which holds them all."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy().copy()


def _moments(network: FrozenNetwork) -> set[str]:
    """Return the names of moments that fit this model; a state lacks them before the first step."""
    return {prefix + name for name in network.local_parameters for prefix in (FIRST, SECOND)}


def _stepped(network: FrozenNetwork) -> list[str]:
    """Return the names of what Adam steps: masked layers, and parameters that are not masked."""
    return [*(layer.name for layer in network.layout.layers), *network.local_parameters]


def _shapes(network: FrozenNetwork) -> dict[str, tuple[int, ...]]:
    scores, weights = (network.score_layout.size,), (network.layout.size,)
    shapes: dict[str, tuple[int, ...]] = {"scores": scores, "average": scores, "velocity": scores, "squares": scores}
    masked = {layer.name for layer in network.layout.layers}
    local = {LOCAL + name: tuple(t.shape) for name, t in network.model.state_dict().items() if name not in masked}
    channels = {name: tuple(t.shape) for name, t in _by_name(ChannelScales.at_one(network.layout)).items()}
    return {**shapes, **channels, "neighbour_mean": weights, **local, "steps": (), "collaboration_weight": ()}
