"""Checks every data set by the same rules: plain finite numbers, a size that fits, labels among the classes.

Each check raises DataError that names the source, the position and the remedy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dslnode.data.readers.raw import MAX_CLASSES, RawExamples, check_size
from dslnode.errors import DataError


def check_numbers(raw: RawExamples) -> None:
    """Refuse images that are not plain numbers of shape (n, ...), are empty, or are too large."""
    images = raw.images
    if images.dtype.kind not in "biuf" or images.ndim < 2:
        raise DataError(
            f"{raw.source}: images are {images.dtype} of shape {images.shape}; they must be numbers of shape (n, ...)"
        )
    check_size(images.shape, raw.source)


def check_finite(images: NDArray[Any], source: str) -> None:
    """Refuse NaN and infinity."""
    finite = np.isfinite(images)
    if not finite.all():
        position = tuple(int(index) for index in np.argwhere(~finite)[0])
        raise DataError(f"{source}: the value at {position} is not a finite number; remove or fill such examples")


def checked_labels(raw: RawExamples, class_count: int) -> NDArray[np.int64]:
    """Return the labels as int64 (n,); whole numbers of any type are taken, columns (n, 1) too."""
    labels = raw.labels[:, 0] if raw.labels.ndim == 2 and raw.labels.shape[1] == 1 else raw.labels
    if labels.ndim != 1 or labels.size == 0 or labels.dtype.kind not in "biuf":
        raise DataError(
            f"{raw.source}: labels are {labels.dtype} of shape {labels.shape}; they must be whole numbers of shape (n,)"
        )
    if len(labels) != len(raw.images):
        raise DataError(f"{raw.source}: {len(raw.images)} images but {len(labels)} labels; give one label per image")
    valid = (labels >= 0) & (labels < class_count) & (labels == np.floor(labels))
    if not valid.all():
        position = int(valid.argmin())
        raise DataError(
            f"{raw.source}: the label {labels[position]} at position {position} (from 0) is not one of the classes"
            f" 0..{class_count - 1}; correct the label or the class count"
        )
    return labels.astype(np.int64)


def count_classes(raw: RawExamples) -> int:
    """Return the largest label plus one."""
    return int(checked_labels(raw, MAX_CLASSES).max()) + 1


def check_class_count(class_count: int, spec: str) -> None:
    """Refuse fewer than two classes and more than MAX_CLASSES."""
    if not 2 <= class_count <= MAX_CLASSES:
        raise DataError(
            f"--data {spec}: {class_count} class(es) where 2..{MAX_CLASSES} are needed;"
            " if this node holds one class of many, give the class count of the whole run"
        )
