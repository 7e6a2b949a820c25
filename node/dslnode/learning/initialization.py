"""What a node starts from: its frozen network, its initial scores, and which weights share a score; all by seed."""

from __future__ import annotations

import math
from glob import escape as glob_escape

import numpy as np
import torch
from torch import Tensor, nn

from dslnode.data.dataset import DataSet
from dslnode.learning.frozen_network import (
    CPU,
    FrozenNetwork,
    ScoreSharing,
    framework_scale,
    frozen_weights,
    kept_scale,
    shared_layout,
)
from dslnode.learning.group_sparsity import ChannelScales
from dslnode.learning.masking import keep_counts, resolve_keep_ratios, top_k
from dslnode.learning.options import InitializationOptions
from dslnode.learning.pretrained import PretrainedNetwork, starting_scores
from dslnode.learning.rng import generator
from dslnode.learning.state import LearnerState
from dslnode.learning.tasks.task import LearningTask
from dslnode.protocol.frozen_bits import seeded_score_words
from dslnode.protocol.mask import MaskLayer, MaskLayout
from dslnode.protocol.random_streams import random_bits

NEVER = -1e9  # a logit that never wins


def frozen_network(
    model: nn.Module,
    layout: MaskLayout,
    options: InitializationOptions,
    data: DataSet,
    task: LearningTask,
    *,
    pretrained: PretrainedNetwork | None = None,
    device: torch.device = CPU,
) -> FrozenNetwork:
    """Return the frozen network as this node sees it: seeded, or as far as it goes pretrained. The model moves to
    ``device``.

    Raises ``SettingsError`` if a keep-ratio pattern matches nothing, ``ModelError`` if the pretrained network is none
    of this model.
    """
    ratios = _keep_ratios(layout, options, pretrained)
    scale = kept_scale if options.scale_kept else framework_scale
    weights = frozen_weights(layout, options.network_seed, ratios, scale)
    taken = frozenset() if pretrained is None else _take_over(model, layout, weights, pretrained)
    scores = shared_layout(layout, options.weights_per_score)
    sharing = draw_sharing(layout, scores, options.network_seed, pretrained)
    counts = keep_counts(layout, ratios)
    offset = _logit_offset(options, data, task)
    return FrozenNetwork(model.to(device), layout, scores, sharing, weights, counts, offset, taken, device)


def _keep_ratios(
    layout: MaskLayout, options: InitializationOptions, pretrained: PretrainedNetwork | None
) -> tuple[float, ...]:
    by_pattern = dict(options.layer_keep_ratios)
    if pretrained is not None:
        own = {layer.name: options.pretrained_keep_ratio for layer in layout.layers if pretrained.has(layer)}
        by_pattern = {**by_pattern, **{glob_escape(name): ratio for name, ratio in own.items()}}
    return resolve_keep_ratios(layout, options.keep_ratio, options.linear_keep_ratio, by_pattern)


def _take_over(model: nn.Module, layout: MaskLayout, weights: Tensor, pretrained: PretrainedNetwork) -> frozenset[str]:
    """Put the pretrained weights in their place, and return the names of their layers.

    What is not masked starts from the file's values, too.
    """
    pretrained.check(layout, model.state_dict())
    own_spans = {layer.name: span for layer, span in layout.spans() if pretrained.has(layer)}
    for name, span in own_spans.items():
        weights[span] = torch.from_numpy(pretrained.tensors[name].ravel())
    masked = {layer.name for layer in layout.layers}
    own = {name: torch.from_numpy(tensor) for name, tensor in pretrained.tensors.items() if name not in masked}
    model.load_state_dict(own, strict=False)
    return frozenset(own_spans)


def _logit_offset(options: InitializationOptions, data: DataSet, task: LearningTask) -> Tensor:
    offset = torch.zeros(data.output_count)
    if options.own_classes and task.has_classes:
        offset += NEVER
        offset[np.unique(data.train.labels)] = 0
    return offset


def initial_state(
    network: FrozenNetwork, options: InitializationOptions, pretrained: PretrainedNetwork | None = None
) -> LearnerState:
    """Return the scores, moments and neighbour mean of a node that has learned nothing yet."""
    layout, score_count = network.layout, network.score_layout.size
    seed = options.network_seed if options.shared_scores else _own_seed(options)
    mean = torch.zeros(layout.size)
    if options.random_first_mean:
        draws = generator("first mean", options.node_seed, 0).random(layout.size, dtype=np.float32)
        for (layer, span), count in zip(layout.spans(), network.counts, strict=True):
            mean[span] = torch.from_numpy((draws[span] < count / layer.size).astype(np.float32))
    scores = initial_scores(network, seed, pretrained)
    return LearnerState(
        scores=scores,
        average=scores.clone(),
        velocity=torch.zeros(score_count),
        squares=torch.zeros(score_count),
        neighbour_mean=mean,
        gradient=torch.zeros(layout.size),
        channels=ChannelScales.at_one(layout),
    )


def initial_scores(network: FrozenNetwork, seed: int, pretrained: PretrainedNetwork | None = None) -> Tensor:
    """Return the scores that training begins with: the seeded ones; where scores are shared, no move from these."""
    if network.sharing is None:
        return seeded_scores(network.layout, seed, pretrained)
    return torch.zeros(network.score_layout.size)


def _own_seed(options: InitializationOptions) -> int:
    return int(generator("own scores", options.node_seed, options.network_seed).integers(2**63))


def seeded_scores(layout: MaskLayout, seed: int, pretrained: PretrainedNetwork | None = None) -> Tensor:
    """Return the scores that every node starts from: uniform in ``+-1/sqrt(fan-in)`` (Kaiming with a = sqrt 5).

    Those of pretrained layers follow from their weights.
    """
    layers = []
    for index, layer in enumerate(layout.layers):
        if pretrained is not None and pretrained.has(layer):
            layers.append(starting_scores(layer, pretrained.tensors[layer.name]))
            continue
        centred = seeded_score_words(layout, seed, index).astype(np.float32) - np.float32(2**23)
        layers.append(centred * np.float32(2**-23 / math.sqrt(layer.fan_in)))
    return torch.from_numpy(np.concatenate(layers))


def score_scale(layer: MaskLayer) -> float:
    """Return the root mean square of a layer's seeded scores, ``1 / sqrt(3 * fan-in)``."""
    return 1 / math.sqrt(3 * layer.fan_in)


def seeded_mask(
    layout: MaskLayout, seed: int, counts: tuple[int, ...], pretrained: PretrainedNetwork | None = None
) -> Tensor:
    """Return the mask of the seeded scores, as zeros and ones: what a node with these keep counts starts from."""
    return top_k(seeded_scores(layout, seed, pretrained), layout, counts).float()


def draw_sharing(
    layout: MaskLayout, scores: MaskLayout, seed: int, pretrained: PretrainedNetwork | None = None
) -> ScoreSharing | None:
    """Draw how weights share scores; None if every weight has its own."""
    if scores == layout:
        return None
    signs = np.ones(layout.size, np.float32)
    for index, ((layer, span), score_layer) in enumerate(zip(layout.spans(), scores.layers, strict=True)):
        if layer != score_layer:
            signs[span] -= 2 * random_bits("score signs", seed, index, layer.size).astype(np.float32)
    return ScoreSharing(torch.from_numpy(signs), seeded_scores(layout, seed, pretrained))
