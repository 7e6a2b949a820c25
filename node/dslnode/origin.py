"""Where a node starts from: its frozen network, its first scores, and all its random numbers."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dslnode import masking
from dslnode.datasets import DataSet
from dslnode.frozen import FrozenNetwork, draw_sharing, shared_layout
from dslnode.mask import MaskLayout
from dslnode.training import TrainedState

NEVER = -1e9  # a logit that never wins


@dataclass(frozen=True)
class Origin:
    """Where a node starts from. ``network_seed`` is shared by the run; ``node_seed`` is the node's own."""

    network_seed: int
    node_seed: int
    keep_ratio: float = 0.3
    linear_keep_ratio: float | None = None  # of layers with two dimensions; None: as keep_ratio
    layer_keep_ratios: tuple[tuple[str, float], ...] = ()  # (name pattern, ratio), the first match wins
    weights_per_score: int = 4  # weights of a large layer that share a score
    shared_scores: bool = True  # every node starts from the same seeded scores
    scale_kept: bool = True  # frozen weights scaled for the keep ratio; False: the framework's default scale
    random_first_mean: bool = False  # first neighbour mean is a Bernoulli draw, as the authors' is
    own_classes: bool = True  # train and answer over the classes of the node's own data only


def frozen_network(model: nn.Module, layout: MaskLayout, origin: Origin, data: DataSet) -> FrozenNetwork:
    """Return the frozen network as this node sees it; ``SettingsError`` if a keep-ratio pattern matches nothing."""
    ratios = masking.resolve_keep_ratios(
        layout, origin.keep_ratio, origin.linear_keep_ratio, dict(origin.layer_keep_ratios)
    )
    scale = masking.kept_scale if origin.scale_kept else masking.framework_scale
    weights = masking.frozen_weights(layout, origin.network_seed, ratios, scale)
    scores = shared_layout(layout, origin.weights_per_score)
    sharing = draw_sharing(layout, scores, origin.network_seed)
    counts = masking.keep_counts(layout, ratios)
    return FrozenNetwork(model, layout, scores, sharing, weights, counts, _logit_offset(origin, data))


def _logit_offset(origin: Origin, data: DataSet) -> Tensor:
    offset = torch.zeros(data.class_count)
    if origin.own_classes:
        offset += NEVER
        offset[np.unique(data.train.labels)] = 0
    return offset


def first_state(network: FrozenNetwork, origin: Origin) -> TrainedState:
    """Return the scores, moments and neighbour mean of a node that has learned nothing yet."""
    layout, score_count = network.layout, network.score_layout.size
    seed = origin.network_seed if origin.shared_scores else _own_seed(origin)
    mean = torch.zeros(layout.size)
    if origin.random_first_mean:
        draws = generator("first mean", origin.node_seed, 0).random(layout.size, dtype=np.float32)
        for (layer, span), count in zip(layout.spans(), network.counts, strict=True):
            mean[span] = torch.from_numpy((draws[span] < count / layer.size).astype(np.float32))
    scores = first_scores(network, seed)
    return TrainedState(
        scores=scores,
        average=scores.clone(),
        velocity=torch.zeros(score_count),
        squares=torch.zeros(score_count),
        neighbour_mean=mean,
        gradient=torch.zeros(layout.size),
    )


def first_scores(network: FrozenNetwork, seed: int) -> Tensor:
    """Return the scores that training begins with: the seeded ones; where scores are shared, no move from these."""
    if network.sharing is None:
        return masking.seeded_scores(network.layout, seed)
    return torch.zeros(network.score_layout.size)


def _own_seed(origin: Origin) -> int:
    return int(generator("own scores", origin.node_seed, origin.network_seed).integers(2**63))


@contextlib.contextmanager
def torch_draws(purpose: str, seed: int, number: int) -> Iterator[None]:
    """Let what the model itself draws from torch (dropout) follow from the round, so that a restart repeats it."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(int(generator(f"torch in {purpose}", seed, number).integers(2**63)))
        yield


def generator(purpose: str, seed: int, number: int) -> np.random.Generator:
    """Return the generator of one purpose, node and round: what it draws depends on nothing else."""
    key = hashlib.blake2b(f"dslnode {purpose} {seed} {number}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(key, "little")))
