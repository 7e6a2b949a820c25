"""Models of one's own for sequences of shape (steps, features): attention and LSTM, both masked like any other.

Try one from this directory:
``dslnode start --data sensor_windows:load --model sequence_models:attention --rounds 20``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTH = 32
PATCH = 4


class Attention(nn.Module):
    """One block of self-attention over patches of four steps, then the mean over the patches and a linear layer."""

    def __init__(self, steps: int, features: int, class_count: int) -> None:
        super().__init__()
        self.embed = nn.Linear(PATCH * features, WIDTH, bias=False)
        self.place = nn.Parameter(torch.zeros(steps // PATCH, WIDTH))
        self.attend = nn.MultiheadAttention(WIDTH, num_heads=4, bias=False, batch_first=True)
        self.hidden = nn.Linear(WIDTH, WIDTH, bias=False)
        self.answer = nn.Linear(WIDTH, class_count, bias=False)

    def forward(self, windows: Tensor) -> Tensor:
        """Map (batch, steps, features) to logits (batch, class_count)."""
        patches = (windows - 0.5).unflatten(1, (-1, PATCH)).flatten(2)
        embedded = self.embed(patches) + self.place
        attended, _ = self.attend(embedded, embedded, embedded, need_weights=False)
        found: Tensor = self.answer(self.hidden(embedded + attended).relu().mean(dim=1))
        return found


class Recurrent(nn.Module):
    """One LSTM over the steps, and a linear layer on its last output."""

    def __init__(self, features: int, class_count: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, WIDTH, batch_first=True, bias=False)
        self.answer = nn.Linear(WIDTH, class_count, bias=False)

    def forward(self, windows: Tensor) -> Tensor:
        """Map (batch, steps, features) to logits (batch, class_count)."""
        outputs, _ = self.lstm(windows - 0.5)
        found: Tensor = self.answer(outputs[:, -1])
        return found


def attention(input_shape: tuple[int, ...], class_count: int) -> nn.Module:
    """Build the attention model for the data set's shape."""
    steps, features = input_shape
    return Attention(steps, features, class_count)


def lstm(input_shape: tuple[int, ...], class_count: int) -> nn.Module:
    """Build the LSTM for the data set's shape."""
    _, features = input_shape
    return Recurrent(features, class_count)
