"""Which arrays of a node's saved state make up its personal model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dslnode.inference.model_file import Description, PersonalModelFile, Score

MASK = "mask"
"""The name of the packed mask, uint8 (bytes,)."""
LOCAL = "local."
"""Before the names of what is neither frozen nor masked: biases, norms, buffers."""


def model_from_arrays(
    description: Description,
    arrays: Mapping[str, NDArray[Any]],
    *,
    round_number: int,
    score: Score | None,
    threshold: float | None,
) -> PersonalModelFile:
    """Return the personal model in a saved state. ``ValueError`` if it is of another model, or holds no mask."""
    packed, size = arrays.get(MASK), description.mask_layout.size
    if packed is None or packed.dtype != np.uint8 or packed.shape != ((size + 7) // 8,):
        raise ValueError("holds no mask of this model, as states of earlier releases do not; let the node do a round")
    tensors = {
        name.removeprefix(LOCAL): array.astype(np.float32)
        for name, array in arrays.items()
        if name.startswith(LOCAL) and array.dtype.kind == "f"
    }
    return PersonalModelFile(
        description=description,
        round=round_number,
        mask=np.unpackbits(packed, count=size, bitorder="little"),
        tensors=tensors,
        score=score,
        threshold=threshold,
    )
