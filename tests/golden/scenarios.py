"""Runs of the algorithm and of the wire whose results must stay what they were, whatever becomes of the code."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dslnode.config.presets import PRESETS
from dslnode.config.settings import Settings
from dslnode.inference.saved_arrays import LEVELS, MASK, STEPS
from dslnode.learning.learner import Learner
from dslnode.protocol.codec.delta import Reference
from dslnode.protocol.codec.mask_codec import READABLE
from dslnode.protocol.codec.reference import MaskReferences
from dslnode.protocol.events import NeighbourMasks
from dslnode.protocol.mask import Mask, MaskLayer, MaskLayout
from dslnode.protocol.messages import IntervalRequest, MaskKind, MaskMessage, RoundMessage, Unchanged
from dslnode.runtime.build import build_learner
from dslnode.transport.encode_cache import EncodeCache
from dslnode.transport.frame_codec import FrameEncoder, LinkMessage, LinkParameters

ROUNDS = 4
NAMES = ("a", "b", "c")
CASES: Mapping[str, Mapping[str, Any]] = {
    "sign": {},
    "keep": {"exchange": "keep", "weights_per_score": 1},
    "both": {"exchange": "both", "keep_ratio": 0.2},
    "shared": {"weights_per_score": 4, "model": "tests.golden.scenarios:wide", "robust_aggregation": "clipped"},
    "authors": {**PRESETS["authors"], "local_steps": 5},
    "structured": {"group_lasso": 0.02, "min_channel_fraction": 0.3, "fine_tuning": "fresh"},
}


def wide(input_shape: tuple[int, ...], class_count: int) -> torch.nn.Module:
    """Return a model one layer of which is so large that its weights share scores."""
    from dslnode.learning.models import mlp

    return mlp(input_shape, class_count, hidden=400)


def learners(case: str) -> dict[str, Learner]:
    """Return three learners with unlike shares of the digits."""
    return {
        name: build_learner(
            Settings(
                name=name,
                data="digits",
                share=f"{number}/3",
                split="classes:6",
                samples_per_class=20,
                seed=5,
                **{"local_steps": 10, **CASES[case]},
            )
        )
        for number, name in enumerate(NAMES, 1)
    }


def run_learners(case: str) -> dict[str, Any]:
    """Return digests of every mask and message of a few rounds without any network, and the last masks whole.

    On one thread of torch, whose sums come out otherwise with more.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _run_learners(case)
    finally:
        torch.set_num_threads(threads)


def _run_learners(case: str) -> dict[str, Any]:
    nodes, lines = learners(case), []
    kinds = Settings(**CASES[case]).exchange.kinds
    signing = MaskKind.SIGN in kinds
    for name, node in nodes.items() if signing else ():
        for other in nodes.keys() - {name}:
            assert not nodes[other].resynchronize(name, node.open_exchange(other))
    for number in range(ROUNDS):
        sent: dict[str, dict[str, RoundMessage]] = {}
        for name, node in nodes.items():
            progress = node.train_round(number, lambda: False)
            lines.append(f"{name} {number} {progress.loss!r} {progress.score!r} {_digest(node.mask.to_bytes())}")
            sent[name] = node.make_steps(number, sorted(nodes.keys() - {name})) if signing else {}
        keeps = {name: node.mask for name, node in nodes.items()}
        for name, node in nodes.items():
            heard = [_heard(other, name, keeps[other], sent[other], kinds) for other in sorted(nodes.keys() - {name})]
            lines += [_line(word) for one in heard for word in one.signs]
            masks = node.aggregate(heard)
            lines += [f"{name} {peer} {_digest(mask.to_bytes())}" for peer, mask in sorted(masks.items())]
    for name, node in nodes.items():
        lines += [f"{name} {key} {_digest(array.tobytes())}" for key, array in sorted(_state(node).items())]
        lines.append(f"{name} {node.score()!r}")
    return {
        "digest": _digest("\n".join(lines).encode()),
        "fingerprint": nodes["a"].fingerprint.hex(),
        "start": _digest(nodes["a"].initial_mask.to_bytes()),
        "masks": {name: base64.b64encode(node.mask.to_bytes()).decode() for name, node in nodes.items()},
        "accuracy": {name: node.score() for name, node in nodes.items()},
    }


PERSONAL = {MASK, LEVELS, STEPS}
"""Arrays of the personal model: masks have digests of their own."""
RECORDED_NAMES = {"collaboration_weight": "leaning"}
"""Arrays of the state that had another name when the golden digests were recorded."""


def _state(node: Learner) -> dict[str, np.ndarray]:
    """Return the arrays that were recorded; the mask came later, and levels, which another zlib may pack otherwise."""
    arrays = node.state()
    return {RECORDED_NAMES.get(name, name): array for name, array in arrays.items() if name not in PERSONAL}


def _heard(
    peer: str, me: str, keep: Mask, sent: Mapping[str, RoundMessage], kinds: frozenset[MaskKind]
) -> NeighbourMasks:
    word = sent.get(me)
    signs = (word,) if isinstance(word, MaskMessage) else ()
    return NeighbourMasks(peer, keep if MaskKind.KEEP in kinds else None, signs, 0)


def _line(message: MaskMessage) -> str:
    step = message.step
    assert step is not None
    return f"{step.sequence} {step.scales!r} {step.checksum.hex()} {_digest(message.mask.to_bytes())}"


async def run_wire() -> dict[str, str]:
    """Return a digest of the frames of masks that follow from integers alone, by codec and kind."""
    layout = MaskLayout((MaskLayer("first", (64, 256)), MaskLayer("last", (10, 64))))
    found = {}
    for name, readable in (("best", READABLE), ("raw", frozenset[Any]())):
        start = Reference(_mask(layout, 0, flips=0))
        speaker = FrameEncoder(
            MaskReferences.from_start(start).for_new_link(same_start=True),
            EncodeCache(),
            LinkParameters(readable - {1}, keep_masks=True),
        )
        speaker._references.outgoing.resume(b"")
        words: list[LinkMessage] = [IntervalRequest(7), Unchanged(3, 2, 1)]
        words += [MaskMessage(number, MaskKind.KEEP, _mask(layout, number, flips=40)) for number in range(1, 5)]
        frames = [parcel.frame.SerializeToString() for word in words async for parcel in speaker.encode(word)]
        found[name] = f"{sum(map(len, frames))} {_digest(b''.join(frames))}"
    return found


def _mask(layout: MaskLayout, number: int, flips: int) -> Mask:
    words = np.random.Philox(key=[9, 9]).random_raw(layout.size)
    bits = (words % 10 < 3).astype(np.uint8)
    for round_number in range(1, number + 1):
        chosen = np.random.Philox(key=[round_number, 1]).random_raw(flips) % layout.size
        bits[chosen] ^= 1
    return Mask.from_bytes(layout, np.packbits(bits, bitorder="little").tobytes())


def machine() -> dict[str, str]:
    """Return what equal floats depend on: processor and torch."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    processor = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return {"processor": processor, "torch": torch.__version__, "kernels": torch.backends.cpu.get_cpu_capability()}


def run_all() -> dict[str, Any]:
    """Return the results of all cases."""
    return {"learners": {case: run_learners(case) for case in CASES}, "wire": asyncio.run(run_wire())}


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
