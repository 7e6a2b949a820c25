"""Which arrays of a node's saved state make up its personal model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dslnode.inference.levels import Levels, decode_codes, encode_codes
from dslnode.inference.model_fit import check_fit
from dslnode.inference.model_header import Description, Score
from dslnode.inference.personal_model import PersonalModelFile

MASK = "mask"
"""The name of the packed mask, uint8 (bytes,)."""
LEVELS, STEPS = "levels", "level_steps"
"""The names of the codes of the kept weights, coded uint8 (bytes,), and of the step of each layer, float64."""
LOCAL = "local."
"""Before the names of what is neither frozen nor masked: biases, norms, buffers."""


def model_arrays(packed: NDArray[np.uint8], levels: Levels | None) -> dict[str, NDArray[Any]]:
    """Return the arrays that hold a mask, packed uint8 (bytes,), and levels, if any."""
    if levels is None:
        return {MASK: packed}
    coded = np.frombuffer(encode_codes(levels.codes), np.uint8)
    return {MASK: packed, LEVELS: coded, STEPS: np.array(levels.steps, np.float64)}


def model_from_arrays(
    description: Description,
    arrays: Mapping[str, NDArray[Any]],
    *,
    round_number: int,
    score: Score | None,
    threshold: float | None,
) -> PersonalModelFile:
    """Return the personal model in a saved state. ``ValueError`` if it is of another model, or holds no mask.

    Its tensors must fit its operations, and be finite.
    """
    packed, size = arrays.get(MASK), description.mask_layout.size
    if packed is None:
        raise ValueError("holds no mask, as states of earlier releases do not; let the node do a round")
    if packed.dtype != np.uint8 or packed.shape != ((size + 7) // 8,):
        raise ValueError(f"holds a mask of {packed.size:,} bytes, and its model has {size:,} weights; it was altered")
    tensors = {
        name.removeprefix(LOCAL): array.astype(np.float32)
        for name, array in arrays.items()
        if name.startswith(LOCAL) and array.dtype.kind == "f"
    }
    mask = np.unpackbits(packed, count=size, bitorder="little")
    model = PersonalModelFile(
        description=description,
        round=round_number,
        mask=mask,
        levels=_levels(description, arrays, mask),
        tensors=tensors,
        score=score,
        threshold=threshold,
    )
    check_fit(model)
    return model


def _levels(description: Description, arrays: Mapping[str, NDArray[Any]], mask: NDArray[np.uint8]) -> Levels | None:
    if LEVELS not in arrays:
        return None
    steps = arrays.get(STEPS, np.empty(0))
    if steps.shape != (len(description.layers),) or not (np.isfinite(steps) & (steps > 0)).all():
        raise ValueError("holds levels without a step for each layer; let the node do a round")
    return Levels(decode_codes(arrays[LEVELS].astype(np.uint8).tobytes(), mask), tuple(steps.tolist()))
