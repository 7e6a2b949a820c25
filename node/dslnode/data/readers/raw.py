"""Arrays that a reader returns, and the bounds that every reader keeps.

Readers only turn files into arrays; `data.dataset` scales the values, orders the axes and checks the labels,
so that these rules hold for every format alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import NDArray

from dslnode.errors import DataError

if TYPE_CHECKING:
    from dslnode.data.schema import Schema

MAX_FILE_BYTES = 2**31
"""Upper bound of a file, and of what one compressed file may unpack to."""
MAX_VALUES = 2**29
"""Upper bound of numbers in one array: 2 GiB once they are float32."""
MAX_CLASSES = 2**16
"""Upper bound of classes; more is a sign that the labels are something else."""


@dataclass(frozen=True, eq=False)
class RawExamples:
    """Images of shape (n, ...) and labels of shape (n,) or (n, 1), as read; `source` is named in errors."""

    images: NDArray[Any]
    labels: NDArray[Any]
    source: str


@dataclass(frozen=True, eq=False)
class RawSet:
    """A data set as read.

    `full_scale` is the value that becomes 1.0 (255 for 8-bit pixels), None if it follows from the values.
    `class_count` is None if it follows from the labels. `axes` says what an array (n, a, b) is: images, or series of
    steps and features; None if that follows from the values. `notes` say what was found out or left out.
    """

    train: RawExamples
    held_out: RawExamples | None = None
    full_scale: float | None = None
    class_count: int | None = None
    class_names: tuple[str, ...] = ()
    axes: Literal["series", "image"] | None = None
    notes: tuple[str, ...] = ()
    schema: Schema | None = None


def existing_file(path: Path) -> Path:
    """Return `path` if it is a regular file of at most MAX_FILE_BYTES; raise DataError otherwise."""
    if not path.exists():
        raise DataError(f"{path}: there is no such file; check the path given with --data")
    # A pipe or a device could block for ever or never end.
    if not path.is_file():
        raise DataError(f"{path}: not a regular file; --data needs the path of a file here")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise DataError(f"{path}: longer than the {MAX_FILE_BYTES} bytes that are read; split the data set")
    return path


def existing_directory(path: Path) -> Path:
    """Return `path` if it is a directory; raise DataError otherwise."""
    if not path.exists():
        raise DataError(f"{path}: there is no such directory; check the path given with --data")
    if not path.is_dir():
        raise DataError(f"{path}: not a directory; --data needs the directory that holds the files here")
    return path


def check_size(shape: Sequence[int], source: str) -> int:
    """Return the number of values of an array of `shape`; raise DataError if it is 0 or over MAX_VALUES."""
    count = math.prod(shape)
    if min(shape, default=0) <= 0:
        raise DataError(f"{source}: no values in an array of shape {tuple(shape)}; the data set is empty")
    if count > MAX_VALUES:
        raise DataError(f"{source}: {count} values of shape {tuple(shape)}, over the limit of {MAX_VALUES}; use fewer")
    return count
