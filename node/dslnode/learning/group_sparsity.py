"""Whole output channels: private scales that the group lasso shrinks, and which channels a mask drops.

A group is all that leads into one output channel or unit: ``weight[g]``. Weights of many channels share a score, so no
channel dies of its scores. Each has a scale of its own in place, which multiplies its kept weights: the group lasso of
weights ``a_g * V_g`` is, for the ``V_g`` of a step, a penalty on the scales ``a_g`` alone (network slimming, Liu et al.
2017). Scales are the node's own and never sent. A personal model that is a mask alone has no place for scales: there a
channel counts in full until its scale is 0 (``whole``), with the straight-through gradient.

The last layer is always left as it is: its outputs are the classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from dslnode.errors import ModelError
from dslnode.protocol.mask import MaskLayer, MaskLayout

SCALE_RATE = 0.05
"""A step of a scale, where its gradient is the root mean square of its layer's."""
MOMENTUM = 0.9  # decay of the scales' gradients
SECOND_MOMENT = 0.99  # decay of their mean squares
SMALLEST = 1e-6  # scale by which gradients are divided; dead channels have none


@dataclass(eq=False)
class ChannelScales:
    """A scale, at least 0, of each output channel of every layer but the last; a channel at 0 is dead for good.

    ``scales`` and the averaged gradient ``velocity`` are (channels,), layer after layer; ``squares`` (layers - 1,) are
    the mean squares of the gradients. All are float32, and change in place.
    """

    scales: Tensor
    velocity: Tensor
    squares: Tensor

    @classmethod
    def at_one(cls, layout: MaskLayout) -> ChannelScales:
        """Return the scales of a network that has all its channels."""
        inner = layout.layers[:-1]
        count = sum(layer.shape[0] for layer in inner)
        return cls(torch.ones(count), torch.zeros(count), torch.zeros(len(inner)))

    @property
    def have_moved(self) -> bool:
        """Whether the lasso has taken a step, or a scale is not one."""
        return bool(self.squares.any() or (self.scales != 1).any())

    def drop_empty(self, keep: Tensor, layout: MaskLayout) -> None:
        """Let every channel die of which ``keep``, boolean (weights,), keeps nothing; in a layer that keeps some."""
        for layer, span, own in _inner_layers(layout):
            kept = _groups(keep, layer, span).any(dim=1)
            if kept.any():
                self.scales[own] *= kept

    def of_weights(self, layout: MaskLayout, *, whole: bool) -> Tensor:
        """Return what each weight's channel multiplies it by, float32 (weights,)."""
        factors = self._factors(whole)
        found = torch.ones(layout.size)
        for layer, span, own in _inner_layers(layout):
            _groups(found, layer, span).copy_(factors[own, None])
        return found

    def through(self, at_weights: Mapping[str, Tensor], layout: MaskLayout, *, whole: bool) -> dict[str, Tensor]:
        """Return the gradients at the weights before they are scaled, from those at the weights the model ran with."""
        factors, found = self._factors(whole), dict(at_weights)
        for layer, _, own in _inner_layers(layout):
            gradient = found[layer.name]
            own_factors = factors[own].to(gradient.device, gradient.dtype)
            found[layer.name] = gradient * own_factors.view(-1, *(1,) * (gradient.ndim - 1))
        return found

    def step(
        self,
        weights: Tensor,
        at_weights: Mapping[str, Tensor],
        layout: MaskLayout,
        strength: float,
        *,
        whole: bool,
    ) -> None:
        """Take one proximal step down the loss plus ``strength`` times the sum of all scales.

        ``weights`` (weights,) are those the model ran with, ``at_weights`` the gradients there, by parameter name. The
        steps of a layer are in units of the root mean square of its gradients, which does not change where they end.
        A channel shrinks as long as the loss falls by less than ``strength`` per unit of its scale, in the end until it
        is dead. The last channel of a layer stays.
        """
        factors = self._factors(whole).clamp(min=SMALLEST)
        for place, (layer, span, own) in enumerate(_inner_layers(layout)):
            gradient = _groups(at_weights[layer.name].float().reshape(-1).cpu(), layer, slice(None))
            at_scales = torch.linalg.vecdot(gradient, _groups(weights, layer, span)) / factors[own]
            self._step_layer(place, own, at_scales, strength)

    def _factors(self, whole: bool) -> Tensor:
        return (self.scales > 0).float() if whole else self.scales

    def _step_layer(self, place: int, own: slice, gradient: Tensor, strength: float) -> None:
        scales, velocity = self.scales[own], self.velocity[own]
        living = scales > 0
        square = gradient[living].square().mean()
        self.squares[place] = (
            square if self.squares[place] == 0 else self.squares[place].lerp(square, 1 - SECOND_MOMENT)
        )
        velocity.lerp_(gradient, 1 - MOMENTUM)
        rate = SCALE_RATE / (self.squares[place].sqrt() + 1e-12)
        wanted = (scales - rate * velocity).mul_(living)
        after = (wanted - rate * strength).clamp_(min=0)
        if not after.any():  # a layer without channels is none
            strongest = int(wanted.argmax())
            after[strongest] = scales[strongest]
        scales.copy_(after)


def check_channels_can_shrink(model: nn.Module) -> None:
    """Raise ``ModelError`` if the model has a norm that undoes the scale of each channel."""
    for name, module in model.named_modules():
        if isinstance(module, _NormBase):
            raise ModelError(
                f"group_lasso cannot shrink the channels of this model: {name or 'it'} is a {type(module).__name__},"
                " which undoes each channel's scale; set group_lasso to 0, or take a model without such norms"
            )


def drop_thin_channels(keep: Tensor, layout: MaskLayout, counts: tuple[int, ...], fraction: float) -> Tensor:
    """Drop every channel that keeps less than ``fraction`` of its share of the layer's ``counts``.

    This is the paper's structured step, with a threshold that means the same in every layer. A share is the keep
    ratio times the fan-in.
    """
    keep = keep.clone()
    for (layer, span, _), count in zip(_inner_layers(layout), counts, strict=False):
        groups = _groups(keep, layer, span)
        groups[groups.sum(dim=1) < fraction * count / len(groups)] = False
    return keep


def _inner_layers(layout: MaskLayout) -> Iterator[tuple[MaskLayer, slice, slice]]:
    """Yield every layer but the last, where its weights are, and where its channels are."""
    begin = 0
    for layer, span in list(layout.spans())[:-1]:
        end = begin + layer.shape[0]
        yield layer, span, slice(begin, end)
        begin = end


def _groups(vector: Tensor, layer: MaskLayer, span: slice) -> Tensor:
    """Return a view of one layer's part, shape ``(outputs, weights of each)``."""
    return vector[span].view(layer.shape[0], -1)
