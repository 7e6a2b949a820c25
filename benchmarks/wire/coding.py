"""Coded size and speed on sequences of masks: drawn flips, and masks recorded from real training."""

from __future__ import annotations

import math
import time
import tracemalloc
from collections.abc import Sequence

import numpy as np
import zstandard
from bitarray import bitarray
from bitarray.util import sc_encode

from benchmarks.accuracy.masks import Lockstep
from benchmarks.daemons import FASHION_MNIST
from benchmarks.report import Row
from dslnode.config.settings import Settings
from dslnode.protocol.codec import delta
from dslnode.protocol.codec.delta import Reference
from dslnode.protocol.mask import Mask, MaskLayer, MaskLayout
from dslnode.protocol.messages import Exchange
from dslnode.runtime.build import build_learner

RING = ((1, 3), (0, 2), (1, 3), (0, 2))
MODEL = "benchmarks.wire.model:cnn"
WEIGHTS = 206_922
FLIPS = (0.0001, 0.001, 0.01, 0.1)


def drawn_masks(weights: int, share: float, count: int) -> list[Mask]:
    """Return masks of density 0.3 in one layer, each with that share of its bits flipped from the one before."""
    layout = MaskLayout((MaskLayer("only", (weights,)),))
    draws = np.random.default_rng(1)
    bits = draws.random(weights) < 0.3
    masks = []
    for _ in range(count):
        masks.append(Mask.from_bytes(layout, np.packbits(bits, bitorder="little").tobytes()))
        bits = bits ^ (draws.random(weights) < np.where(bits, share / 0.6, share / 1.4))
    return masks


def learners_settings(node: int, exchange: Exchange) -> Settings:
    """Return the settings of one of the four nodes of all measurements here."""
    return Settings(
        name=f"node-{node}",
        data=f"idx:{FASHION_MNIST}",
        model=MODEL,
        share=f"{node + 1}/4",
        split="classes:4",
        samples_per_class=100,
        exchange=exchange,
    )


def recorded_masks(rounds: int) -> list[Mask]:
    """Train four nodes in a ring for some rounds; return the keep masks of the first, and before them its start."""
    learners = [build_learner(learners_settings(node, Exchange.KEEP)) for node in range(4)]
    start, lockstep = learners[0].initial_mask, Lockstep(learners, RING, Exchange.KEEP)
    return [start, *(lockstep.round(number)[0] for number in range(rounds))]


def row(name: str, masks: Sequence[Mask], first: int) -> Row:
    """Code a sequence; sizes are means of those from number ``first`` on, speeds of processor time."""
    base, read, sums, seconds = Reference(masks[0]), Reference(masks[0]), dict.fromkeys(_SIZES, 0.0), [0.0, 0.0]
    for number, mask in enumerate(masks[1:], start=1):
        old, began = base, time.process_time()
        data, base = delta.encode(mask, old)
        coded = time.process_time()
        found, read = delta.decode(mask.layout, data, read)
        ended = time.process_time()
        assert found == mask
        if number >= first:
            seconds = [seconds[0] + coded - began, seconds[1] + ended - coded]
            sums = {key: sums[key] + size for key, size in _sizes(mask, old.mask, data).items()}
    count, weights = len(masks) - first, masks[0].layout.size
    return {
        "what": name,
        "weights": weights,
        "flips": sums["flips"] / count / weights,
        "coded_bytes": sums["coded"] / count,
        **{f"coded_over_{key}": sums["coded"] / sums[key] for key in _SIZES[2:]},
        "encode_weights_per_second": count * weights / seconds[0],
        "decode_weights_per_second": count * weights / seconds[1],
    }


_SIZES = ("flips", "coded", "floor", "raw", "float32", "zstd", "sc_encode")


def _sizes(mask: Mask, base: Mask, data: bytes) -> dict[str, float]:
    flips = bitarray(mask.bits ^ base.bits)
    return {
        "flips": flips.count(),
        "coded": len(data),
        "floor": conditional_entropy(mask, base) / 8,
        "raw": mask.layout.byte_size,
        "float32": 4 * mask.layout.size,
        "zstd": len(zstandard.compress(flips.tobytes(), 19)),
        "sc_encode": len(sc_encode(flips)),
    }


def conditional_entropy(mask: Mask, base: Mask) -> float:
    """Return the bits that an ideal coder needs which knows how often bits of each layer and value flip."""
    flips, total = mask.bits ^ base.bits, 0.0
    for _, span in mask.layout.spans():
        for value in (base.bits[span], ~base.bits[span]):
            size, ones = value.count(), (flips[span] & value).count()
            total -= sum(part * math.log2(part / size) for part in (ones, size - ones) if part)
    return total


def memory_row(weights: int) -> Row:
    """Code one large mask both ways; return the most memory that it took, over that of a packed mask."""
    first, second = drawn_masks(weights, 0.001, 2)
    peaks = []
    tracemalloc.start()
    data, _ = delta.encode(second, Reference(first))
    peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.reset_peak()
    delta.decode(first.layout, data, Reference(first))
    peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    size = first.layout.byte_size
    return {
        "what": "memory",
        "weights": weights,
        "encode_peak_masks": peaks[0] / size,
        "decode_peak_masks": peaks[1] / size,
    }
