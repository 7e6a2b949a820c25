"""What the tests of data files share: made-up pixels, and damage that must end in DataError and nothing else."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dslnode.data.dataset import load_data_set
from dslnode.errors import DataError

Array = NDArray[np.uint8]
Damage = tuple[str, float, bytes]

fuzz = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
damages = st.tuples(
    st.sampled_from(["cut", "flip", "insert"]), st.floats(0, 1, exclude_max=True), st.binary(min_size=1)
)


def damage(content: bytes, how: Damage) -> bytes:
    """Cut the content short, or overwrite or insert some bytes."""
    kind, place, garbage = how
    position = int(place * len(content))
    rest = {"cut": b"", "flip": garbage + content[position + len(garbage) :], "insert": garbage + content[position:]}
    return content[:position] + rest[kind]


def load_or_refuse(spec: str) -> None:
    """Whatever the file holds: a data set or a DataError, nothing else."""
    try:
        data = load_data_set(spec)
    except DataError:
        return
    assert np.isfinite(data.train.images).all()
    assert 0 <= data.train.labels.min() <= data.train.labels.max() < data.class_count


def pixels(count: int, *shape: int) -> Array:
    return (np.arange(count * int(np.prod(shape))) % 256).astype(np.uint8).reshape(count, *shape)
