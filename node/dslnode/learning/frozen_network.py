"""The frozen network that all nodes share, and how many weights listen to one score.

Where several weights share a score, the score moves each of them from its seeded place, up or down as a seeded sign
says (the hashing trick: Chen et al. 2015). Fewer scores are fewer bits to exchange and less for small data to
overfit, while every weight's mask bit can still change.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from dslnode.learning.masking import kept_weights, tensors_of
from dslnode.learning.parameter_roles import Role, names_of, parameter_roles
from dslnode.protocol.frozen_bits import frozen_signs
from dslnode.protocol.mask import MaskLayer, MaskLayout

CPU = torch.device("cpu")
SMALL_LAYER = 8_192
"""Layers of at most so many weights have a score for each; larger ones have at least so many scores."""
SHARING = b"strided"
"""Which weights share a score. Nodes of releases that drew them by lot build another network."""


@dataclass(frozen=True)
class ScoreSharing:
    """How weights follow scores: weight i of a layer with n scores listens to score ``i mod n``.

    ``signs`` say whether it moves with the score or against it, ``seeded`` where it starts; both float32 (weights,),
    drawn from the seed.
    """

    signs: Tensor
    seeded: Tensor


@dataclass(frozen=True)
class FrozenNetwork:
    """The model every node shares: the untouched skeleton, its layouts, frozen weights and keep counts a layer.

    ``logit_offset`` of shape ``(outputs,)`` is added to the model's output: 0, or very negative for the classes
    that this node does not answer.
    """

    model: nn.Module
    layout: MaskLayout  # the weights: what the bits of a keep mask stand for
    score_layout: MaskLayout  # the scores: what the bits of a sign mask stand for
    sharing: ScoreSharing | None  # None: every weight has a score of its own
    weights: Tensor
    counts: tuple[int, ...]
    logit_offset: Tensor
    pretrained: frozenset[str] = frozenset()  # layers whose weights are not seeded
    device: torch.device = CPU  # of the model; all tensors here are on the CPU

    @cached_property
    def local_parameters(self) -> dict[str, nn.Parameter]:
        """The model's parameters that this node trains on its own data, by name."""
        names = names_of(parameter_roles(self.model), Role.LOCAL)
        return {name: self.model.get_parameter(name) for name in names}

    def run(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        """Return the outputs (batch, outputs), float32 on the CPU, of the model with these weights."""
        logits: Tensor = self.output(weights, inputs)
        return logits.float().cpu() + self.logit_offset

    def output(self, weights: Mapping[str, Tensor], inputs: Tensor) -> Any:
        """Return what the model itself returns with these weights, each in the model's own precision."""
        own = {name: tensor.to(self.device, self.model.get_parameter(name).dtype) for name, tensor in weights.items()}
        return functional_call(self.model, own, (inputs.to(self.device),))

    def expand_scores(self, scores: Tensor, start: Tensor | None = None, *, out: Tensor | None = None) -> Tensor:
        """Return each weight's score S, shape ``(layout.size,)``.

        ``start``, of the same shape, is where the weights start in place of their seeded scores; where no scores are
        shared, it is added. The result is written to ``out``, of the same shape, where scores are shared.
        """
        if self.sharing is None:
            return scores if start is None else scores + start
        start = self.sharing.seeded if start is None else start
        spread = torch.empty_like(start) if out is None else out
        for span, own in self._spans():
            _move_in_turn(start[span], self.sharing.signs[span], scores[own], out=spread[span])
        return spread

    def masked_weights(self, mask: Tensor, *, out: Tensor | None = None) -> dict[str, Tensor]:
        """Return what the model runs on under a mask (weights,), boolean or of strengths, by parameter name.

        All are views of ``out``, float32 (weights,), if that is given.
        """
        return tensors_of(kept_weights(self.weights, mask, out=out), self.layout)

    def reduce_gradient(self, gradient: Tensor) -> Tensor:
        """Return the gradient at the scores, shape ``(score_layout.size,)``, from that at each weight's score."""
        if self.sharing is None:
            return gradient
        reduced = torch.empty(self.score_layout.size)
        for span, own in self._spans():
            _sum_products_in_turn(gradient[span], self.sharing.signs[span], out=reduced[own])
        return reduced

    def at_mask(self, at_weights: Mapping[str, Tensor]) -> Tensor:
        """Return the gradient at the mask, (weights,), from that at the weights under it, by parameter name."""
        flat = [at_weights[layer.name].float().reshape(-1) for layer in self.layout.layers]
        return torch.cat(flat).mul_(self.weights)

    def at_scores(self, at_weights: Mapping[str, Tensor]) -> Tensor:
        """Return ``reduce_gradient(at_mask(...))`` in one pass over the gradients."""
        if self.sharing is None:
            return self.at_mask(at_weights)
        reduced = torch.empty(self.score_layout.size)
        for layer, (span, own) in zip(self.layout.layers, self._spans(), strict=True):
            gradient = at_weights[layer.name].float().reshape(-1)
            _sum_products_in_turn(gradient, self._signed_weights[span], out=reduced[own])
        return reduced

    @cached_property
    def _signed_weights(self) -> Tensor:
        assert self.sharing is not None
        return self.weights * self.sharing.signs

    def _spans(self) -> Iterator[tuple[slice, slice]]:
        """Yield where each layer's weights are, and where its scores."""
        for (_, span), (_, own) in zip(self.layout.spans(), self.score_layout.spans(), strict=True):
            yield span, own


def _move_in_turn(start: Tensor, signs: Tensor, scores: Tensor, *, out: Tensor) -> None:
    """Put where a layer's weights start, moved by their scores as the signs say, into ``out``: (weights,) each."""
    whole = _whole_rows(start, scores)
    begun, turned, found = (tensor[:whole].view(-1, len(scores)) for tensor in (start, signs, out))
    torch.addcmul(begun, turned, scores, out=found)
    torch.addcmul(start[whole:], signs[whole:], scores[: len(start) - whole], out=out[whole:])


def _sum_products_in_turn(values: Tensor, factors: Tensor, *, out: Tensor) -> None:
    """Add up the products, (weights,) each, of the weights that share each score, into ``out`` (scores,).

    By numpy, which needs no array of all products and no call per row.
    """
    whole = _whole_rows(values, out)
    rows = (tensor[:whole].view(-1, len(out)).numpy() for tensor in (values, factors))
    np.einsum("ij,ij->j", *rows, out=out.numpy())
    out[: len(values) - whole].addcmul_(values[whole:], factors[whole:])


def _whole_rows(weights: Tensor, scores: Tensor) -> int:
    """Return how many weights make whole rows of the scores; the rest is less than a row."""
    return len(weights) // len(scores) * len(scores)


def shared_layout(layout: MaskLayout, weights_per_score: int) -> MaskLayout:
    """Return the layout of the scores; layers with shared scores have the shape ``(count,)``."""

    def shared(layer: MaskLayer) -> MaskLayer:
        count = max(-(-layer.size // weights_per_score), min(layer.size, SMALL_LAYER))
        return layer if count == layer.size else MaskLayer(layer.name, (count,))

    return MaskLayout(tuple(map(shared, layout.layers)))


def kept_scale(layer: MaskLayer, keep_ratio: float) -> float:
    """Return ``sqrt(2 / (keep ratio * fan-in))``: activations keep their variance under the mask (He et al. 2015)."""
    return math.sqrt(2 / (keep_ratio * layer.fan_in))


def framework_scale(layer: MaskLayer, _keep_ratio: float) -> float:
    """Return the standard deviation of torch's default weights, ``sqrt(1 / (3 * fan-in))``, as the authors use."""
    return 1 / math.sqrt(3 * layer.fan_in)


def frozen_weights(
    layout: MaskLayout,
    seed: int,
    keep_ratios: tuple[float, ...],
    scale: Callable[[MaskLayer, float], float] = kept_scale,
) -> Tensor:
    """Return the frozen weights: the shared signs times one scale a layer.

    The scale depends on the keep ratio, so it is the node's own where keep ratios differ; the signs are everybody's.
    """
    weights = torch.from_numpy(frozen_signs(layout, seed).astype(np.float32) * 2 - 1)
    for (layer, span), ratio in zip(layout.spans(), keep_ratios, strict=True):
        weights[span] *= scale(layer, ratio)
    return weights


def fingerprint(layout: MaskLayout, scores: MaskLayout, seed: int, pretrained: bytes = b"") -> bytes:
    """Return 16 bytes that are equal exactly where two nodes hold the same frozen network.

    That is: the layouts of weights and scores, how weights share scores, the seed and the signs; and the digest of a
    pretrained network where there is one.
    """
    digest = hashlib.blake2b(layout.digest + scores.digest, digest_size=16)
    digest.update((b"" if scores == layout else SHARING) + pretrained)
    digest.update(seed.to_bytes(8, "little"))
    digest.update(np.packbits(frozen_signs(layout, seed), bitorder="little").tobytes())
    return digest.digest()
