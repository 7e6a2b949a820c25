"""What follows from the run's seed alone: the signs of the frozen weights, and the mask that all begin near."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dslnode.protocol.mask import MaskLayout
from dslnode.protocol.random_streams import random_bits, raw_words


def frozen_signs(layout: MaskLayout, seed: int) -> NDArray[np.uint8]:
    """Return the signs of the frozen weights as uint8 of shape ``(layout.size,)``: 1 for plus, 0 for minus."""
    layers = (random_bits("frozen signs", seed, index, layer.size) for index, layer in enumerate(layout.layers))
    return np.concatenate([np.empty(0, np.uint8), *layers])


def seeded_score_words(layout: MaskLayout, seed: int, index: int) -> NDArray[np.int32]:
    """Return the seeded scores of a layer as integers from 0 to 2^24 - 1: the larger, the higher the score."""
    words = raw_words("scores", seed, index, layout.layers[index].size)
    words >>= np.uint32(8)
    return words.view(np.int32)


def seeded_bits(layout: MaskLayout, seed: int, counts: Sequence[int]) -> NDArray[np.uint8]:
    """Return the mask with the ``counts`` highest seeded scores of each layer, a byte per bit; low places win ties.

    A learned mask differs from it in few bits where scores started from the seed.
    """
    bits = np.zeros(layout.size, np.uint8)
    for index, ((_, span), count) in enumerate(zip(layout.spans(), counts, strict=True)):
        if count:
            bits[span] = _highest(seeded_score_words(layout, seed, index), count)
    return bits


def _highest(words: NDArray[np.int32], count: int) -> NDArray[np.bool_]:
    """Return which are the ``count`` highest, of 1 at least; low places win ties."""
    lowest = np.partition(words, len(words) - count)[len(words) - count]
    chosen: NDArray[np.bool_] = words > lowest
    chosen[np.flatnonzero(words == lowest)[: count - np.count_nonzero(chosen)]] = True
    return chosen
