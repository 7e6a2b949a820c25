"""Whole output channels: the group lasso's proximal step on the scores, and which channels a mask drops.

A group is all that leads into one output channel or unit: ``weight[g]``. The last layer is always left whole: its
outputs are the classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from dslnode.protocol.mask import MaskLayer, MaskLayout


def shrink_channels(scores: Tensor, layout: MaskLayout, strength: float, *, relative: bool) -> None:
    """Take the group lasso's proximal step in place: ``S_g *= max(0, 1 - strength * sqrt(|g|) / ||S_g||)``.

    ``strength`` is step size times lambda: what a channel's root mean square score loses. If ``relative`` it is in
    units of the layer's own, over the channels that are left: then the best channel never dies (below a strength
    of 1), and the pressure does not grow as the scores shrink. A channel that has less to lose is zero from then
    on, until its gradient moves it further in one step (Yuan and Lin 2006; Parikh and Boyd 2014, section 6.5.4).
    """
    for layer, span in _inner_layers(layout):
        groups = _groups(scores, layer, span)
        norms = groups.norm(dim=1, keepdim=True)
        loss = strength * (norms[norms > 0].square().mean().sqrt() if relative else math.sqrt(groups.shape[1]))
        groups.mul_(torch.where(norms > loss, 1 - loss / norms, 0))


def dead_channels(scores: Tensor, layout: MaskLayout) -> Tensor:
    """Return a boolean vector, true at every weight of a channel whose scores are all zero."""
    dead = torch.zeros(layout.size, dtype=torch.bool)
    for layer, span in _inner_layers(layout):
        _groups(dead, layer, span)[~_groups(scores, layer, span).any(dim=1)] = True
    return dead


def living_counts(dead: Tensor, layout: MaskLayout, counts: tuple[int, ...]) -> tuple[int, ...]:
    """Return the keep counts without the dead channels' shares, so that the keep ratio holds among the living."""
    return tuple(
        count - round(count * int(dead[span].count_nonzero()) / layer.size)
        for (layer, span), count in zip(layout.spans(), counts, strict=True)
    )


def drop_thin_channels(keep: Tensor, layout: MaskLayout, counts: tuple[int, ...], fraction: float) -> Tensor:
    """Drop every channel that keeps less than ``fraction`` of its share of the layer's ``counts``.

    This is the paper's structured step, with a threshold that means the same in every layer. A share is the keep
    ratio times the fan-in.
    """
    keep = keep.clone()
    for (layer, span), count in zip(_inner_layers(layout), counts, strict=False):
        groups = _groups(keep, layer, span)
        groups[groups.sum(dim=1) < fraction * count / len(groups)] = False
    return keep


def _inner_layers(layout: MaskLayout) -> Iterator[tuple[MaskLayer, slice]]:
    yield from list(layout.spans())[:-1]


def _groups(vector: Tensor, layer: MaskLayer, span: slice) -> Tensor:
    """Return a view of one layer's part, shape ``(outputs, weights of each)``."""
    return vector[span].view(layer.shape[0], -1)
