"""A local response norm over channels some of which are gone: each still sees the neighbours that it had."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class PlacedResponseNorm(nn.Module):
    """What a ``LocalResponseNorm`` gives the channels that are left, if those that are gone were zero.

    ``places`` int64 (channels,) are where these stood among all; ``window`` int64 (size, channels) says which of them
    each one's sum is over, or one beyond the last for a channel that is gone. Takes and gives (n, channels, ...).
    """

    def __init__(self, norm: nn.LocalResponseNorm, channels: int) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = norm.size, norm.alpha, norm.beta, norm.k
        self.places: Tensor
        self.window: Tensor
        self.register_buffer("places", torch.arange(channels))
        self.register_buffer("window", self._window())

    def keep(self, living: Tensor) -> None:
        """Go on with the ``living`` channels alone, booleans (channels,)."""
        self.places = self.places[living]
        self.window = self._window()

    def forward(self, inputs: Tensor) -> Tensor:
        """Return each channel over a power of the mean square of those around it."""
        squares = functional.pad(inputs.square(), (*(0, 0) * (inputs.ndim - 2), 0, 1))
        total = squares[:, self.window[0]]
        for others in self.window[1:]:
            total += squares[:, others]
        return inputs / (self.k + self.alpha / self.size * total) ** self.beta

    def extra_repr(self) -> str:
        """Return the sizes, as torch's own norm does."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}, channels={len(self.places)}"

    def _window(self) -> Tensor:
        """Return the window of the present places; it begins ``size // 2`` channels before each, as torch's does."""
        count, begin = len(self.places), -(self.size // 2)
        wanted = self.places + torch.arange(begin, begin + self.size)[:, None]
        found = torch.searchsorted(self.places, wanted)
        here = self.places[found.clamp(max=count - 1)] == wanted
        return torch.where(here, found, count)
