"""Keys by which rows are held out: a hash of a row, of its group, or its place in time.

An example is held out if its key is below the held-out fraction. A row keeps its key when the file grows, so no row
that was trained on is ever tested on. Keys are float64 in [0, 1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dslnode.data.tables.source import Cells

KEY_BYTES = 8
CELL_END = "\x1f"


def row_keys(columns: Sequence[Cells], count: int) -> NDArray[np.float64]:
    """Return a key for each row that follows from all of its cells, as they are written: float64 (n,)."""
    texts = [column for column in columns if not isinstance(column, np.ndarray)]
    numbers = [np.asarray(column, dtype="<f8") for column in columns if isinstance(column, np.ndarray)]
    lines = [CELL_END.join(cells) for cells in zip(*texts, strict=True)] if texts else [""] * count
    packed = np.stack(numbers, axis=1).tobytes() if numbers else b""
    width = 8 * len(numbers)
    return np.array(
        [
            _key(line.encode("utf-8", "surrogatepass") + packed[width * position : width * (position + 1)])
            for position, line in enumerate(lines)
        ]
    )


def group_keys(groups: Sequence[str]) -> NDArray[np.float64]:
    """Return a key for each row that all rows of its group share: float64 (n,)."""
    known = {group: _key(group.encode("utf-8", "surrogatepass")) for group in set(groups)}
    return np.array([known[group] for group in groups])


def _key(content: bytes) -> float:
    digest = hashlib.blake2b(content, digest_size=KEY_BYTES).digest()
    return (int.from_bytes(digest, "little") >> 11) / 2.0**53
