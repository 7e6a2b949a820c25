"""Loads the data set that --data names as examples with one scale, one shape and checked labels.

`load_data_set` is the only way in. The readers of file formats (`data.readers`) and the user's own functions
return arrays as they are. Here values become float32 in [0, 1], images get
their channel axis, and labels are checked against the classes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dslnode import plugins
from dslnode.data.checks import check_class_count, check_finite, check_numbers, checked_labels, count_classes
from dslnode.data.readers.csv_npz import read_csv, read_npz
from dslnode.data.readers.idx_cifar import read_cifar10, read_idx
from dslnode.data.readers.image_folder import read_image_folder
from dslnode.data.readers.raw import RawExamples, RawSet, check_size
from dslnode.data.target import Target, Task
from dslnode.errors import DataError

DIGITS_FILE = Path(__file__).with_name("digits.npz")
FILE_READERS: dict[str, Callable[[Path], RawSet]] = {
    "idx": read_idx,
    "npz": read_npz,
    "images": read_image_folder,
    "csv": read_csv,
    "cifar10": read_cifar10,
}
CHANNEL_COUNTS = (1, 3)


@dataclass(frozen=True, eq=False)
class Examples:
    """Images (n, *input_shape) as they are stored, labels int64 (n,) and, for some tasks, values float32 (n, outputs).

    Bytes stay bytes until a minibatch needs them, a quarter of the memory; what the model sees is float32, the
    stored values over ``full_scale``, normally in [0, 1]. ``labels`` are classes, which also say how examples are
    divided among nodes; all are 0 where a task has none. ``values`` are what a regression, a forecast or several
    labels at once aim at, in the scale of the model's outputs. Raises DataError if they differ in length or are
    of other types.
    """

    stored: NDArray[np.float32] | NDArray[np.uint8]
    labels: NDArray[np.int64]
    full_scale: float = 1.0
    values: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        """Refuse arrays that would only fail much later, inside the training."""
        if self.stored.dtype not in (np.float32, np.uint8) or self.labels.dtype != np.int64 or self.labels.ndim != 1:
            raise DataError(
                f"images are {self.stored.dtype} and labels {self.labels.dtype} of shape {self.labels.shape};"
                " make them float32 (or uint8) and int64 of shape (n,)"
            )
        if self.stored.ndim < 2 or len(self.stored) != len(self.labels):
            raise DataError(
                f"images have the shape {self.stored.shape} for {len(self.labels)} labels;"
                " make it (n, ...) with one label per image"
            )
        values = self.values
        if values is not None and (values.dtype != np.float32 or values.ndim != 2 or len(values) != len(self.labels)):
            raise DataError(
                f"values are {values.dtype} of shape {values.shape} for {len(self.labels)} examples;"
                " make them float32 of shape (n, outputs)"
            )

    @property
    def targets(self) -> NDArray[np.int64] | NDArray[np.float32]:
        """What the model's outputs are compared with: the values if the task has them, else the labels."""
        return self.labels if self.values is None else self.values

    @property
    def images(self) -> NDArray[np.float32]:
        """All images as the model sees them: a float32 copy."""
        return np.divide(self.stored, np.float32(self.full_scale), dtype=np.float32)

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.labels)

    def take(self, positions: NDArray[np.int64]) -> Examples:
        """Copy the examples at `positions`, so that the memory of the whole set can be freed."""
        values = None if self.values is None else self.values[positions]
        return Examples(self.stored[positions], self.labels[positions], self.full_scale, values)


@dataclass(frozen=True, eq=False)
class DataSet:
    """Examples to train on and, unless None, examples to measure the score on; labels are 0..class_count-1."""

    train: Examples
    held_out: Examples | None
    class_count: int
    name: str
    target: Target = field(default_factory=Target)

    @property
    def output_count(self) -> int:
        """Numbers that a model of this data set outputs per example: logits of classes, values, or its whole input."""
        if self.train.values is not None:
            return int(self.train.values.shape[1])
        return math.prod(self.input_shape) if self.target.task == Task.ANOMALY else self.class_count

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one image: (channels, height, width) or (features,)."""
        return tuple(self.train.stored.shape[1:])


def load_data_set(spec: str, class_count: int | None = None) -> DataSet:
    """Load `digits`, `idx:DIR`, `npz:FILE`, `images:DIR`, `csv:FILE`, `cifar10:DIR`, a plug-in or `module:function`.

    `class_count` is for nodes whose own data lack the last classes: all nodes of a run need the same count.
    Values are divided by 255 if they are 8-bit, else by the largest magnitude if that is over 1. Images of
    shape (n, h, w) become (n, 1, h, w), and (n, h, w, c) with one or three channels become (n, c, h, w).
    A user's function returns (images, labels), (x_train, y_train, x_test, y_test), or a DataSet, which keeps
    its scale and shape. Raises DataError that names the place and the remedy.
    """
    try:
        return _load(spec, class_count)
    except OSError as error:
        raise DataError(f"--data {spec}: {error}; check the path and the permissions") from error
    except MemoryError as error:
        raise DataError(f"--data {spec}: does not fit into the memory of this device; use fewer examples") from error


def names_code(spec: str) -> bool:
    """Return whether the data set is a `module:function`: code that the spec chooses, wherever it comes from."""
    prefix, colon, _ = spec.partition(":")
    return bool(colon) and prefix not in FILE_READERS


def _load(spec: str, class_count: int | None) -> DataSet:
    prefix, colon, path = spec.partition(":")
    if spec == "digits":
        return _to_data_set(replace(read_npz(DIGITS_FILE), full_scale=16), spec, class_count)
    if colon and prefix in FILE_READERS:
        if not path:
            raise DataError(f"--data {spec}: give a path after the colon, such as {prefix}:/data/mine")
        return _to_data_set(FILE_READERS[prefix](Path(os.path.expanduser(path))), spec, class_count)
    return _load_from_function(spec, class_count)


def _load_from_function(spec: str, class_count: int | None) -> DataSet:
    built_in = ("digits", *(f"{prefix}:PATH" for prefix in FILE_READERS))
    function = plugins.data_factory(spec, built_in)
    try:
        result = function()
        if isinstance(result, DataSet):
            return _check_user_data(result if class_count is None else replace(result, class_count=class_count), spec)
        return _to_data_set(_raw_from_result(result, spec), spec, class_count)
    except DataError:
        raise
    # It is the user's code, so anything can come out of it.
    except (Exception, SystemExit) as error:
        raise DataError(f"--data {spec}: the function failed: {type(error).__name__}: {error}") from error


def _raw_from_result(result: object, spec: str) -> RawSet:
    if not isinstance(result, tuple) or len(result) not in {2, 4}:
        raise DataError(
            f"--data {spec}: the function returned an object of type {type(result).__name__};"
            " it must return (images, labels), (x_train, y_train, x_test, y_test) or a dslnode.DataSet"
        )
    arrays = [np.asarray(part) for part in result]
    held_out = RawExamples(arrays[2], arrays[3], f"{spec} (x_test, y_test)") if len(arrays) == 4 else None
    return RawSet(RawExamples(arrays[0], arrays[1], f"{spec} (images, labels)"), held_out)


def _to_data_set(raw: RawSet, spec: str, class_count: int | None) -> DataSet:
    """Scale, shape and check; the held-out examples follow the scale and the classes of the others."""
    check_numbers(raw.train)
    classes = class_count if class_count is not None else raw.class_count
    classes = classes if classes is not None else count_classes(raw.train)
    check_class_count(classes, spec)
    scale = raw.full_scale or _full_scale(raw.train)
    train = _examples(raw.train, scale, classes)
    held_out = None if raw.held_out is None else _examples(raw.held_out, scale, classes)
    data = DataSet(train, held_out, classes, spec)
    _check_shapes(data)
    return data


def _examples(raw: RawExamples, scale: float, class_count: int) -> Examples:
    check_numbers(raw)
    labels = checked_labels(raw, class_count)
    images = _with_channels(raw.images)
    if images.dtype == np.uint8:
        return Examples(np.ascontiguousarray(images), labels, scale)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused right after
        images = np.divide(images, np.float32(scale), dtype=np.float32)
    if raw.images.dtype.kind == "f":
        check_finite(images, raw.source)
    return Examples(np.ascontiguousarray(images), labels)


def _with_channels(images: NDArray[Any]) -> NDArray[Any]:
    """Put channels first: (n, h, w) to (n, 1, h, w), (n, h, w, c) to (n, c, h, w); leave the rest."""
    if images.ndim == 3:
        return images[:, np.newaxis]
    channels_last = images.ndim == 4 and images.shape[3] in CHANNEL_COUNTS and images.shape[1] not in CHANNEL_COUNTS
    return images.transpose(0, 3, 1, 2) if channels_last else images


def _full_scale(raw: RawExamples) -> float:
    """Return the value that becomes 1.0: 255 for bytes, else the largest magnitude, or 1 if that is smaller."""
    if raw.images.dtype == np.uint8:
        return 255.0
    if raw.images.dtype.kind == "f":
        check_finite(raw.images, raw.source)
    return max(1.0, float(raw.images.max()), -float(raw.images.min()))


def _check_shapes(data: DataSet) -> None:
    held_out = data.held_out
    if held_out is not None and held_out.stored.shape[1:] != data.input_shape:
        raise DataError(
            f"--data {data.name}: held-out images have the shape {held_out.stored.shape[1:]},"
            f" training images {data.input_shape}; they must be equal"
        )


def _check_user_data(data: DataSet, spec: str) -> DataSet:
    """Hold a DataSet that the user's function built to the same rules, without changing its values."""
    check_class_count(data.class_count, spec)
    for part, examples in (("train", data.train), ("held_out", data.held_out)):
        if examples is not None:
            raw = RawExamples(examples.stored, examples.labels, f"{spec} ({part})")
            check_size(examples.stored.shape, raw.source)
            check_finite(examples.stored, raw.source)
            checked_labels(raw, data.class_count)
    _check_shapes(data)
    return data
