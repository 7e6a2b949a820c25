"""Loads the data set that --data names as examples with one scale, one shape and checked labels.

`load_data_set` is the only way in. Tables (`data.tables`) come encoded by their schema. The readers of other formats
(`data.readers`) and the user's own functions return arrays as they are. Here bytes and images become float32 in
[0, 1], features are scaled one by one, images get their channel axis, and labels are checked against the classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dslnode.data.checks import check_class_count, check_finite, check_numbers, checked_labels, count_classes
from dslnode.data.readers.idx_cifar import read_cifar10, read_idx
from dslnode.data.readers.npz import read_npz
from dslnode.data.readers.raw import RawExamples, RawSet, check_size
from dslnode.data.scaling import ArrayScaling, feature_scales, scaled
from dslnode.data.spec import KINDS, FileSpec, check_kind, kind_of, parse_spec
from dslnode.data.target import Target, Task
from dslnode.errors import DataError

if TYPE_CHECKING:
    from dslnode.data.schema import Schema
    from dslnode.data.tables.load import LoadedTable

DIGITS_FILE = Path(__file__).with_name("digits.npz")
FILE_READERS: dict[str, Callable[[Path], RawSet]] = {"idx": read_idx, "npz": read_npz, "cifar10": read_cifar10}
FOLDERS = frozenset({"images", "audio"})
TABLES = frozenset({"csv", "jsonl", "parquet", "sqlite"})
CHANNEL_COUNTS = (1, 3)


@dataclass(frozen=True, eq=False)
class Examples:
    """Images (n, *input_shape) as they are stored, labels int64 (n,) and, for some tasks, values float32 (n, outputs).

    Bytes stay bytes until a minibatch needs them, a quarter of the memory; what the model sees is float32, the
    stored values over ``full_scale``, normally in [0, 1]. ``labels`` are classes, which also say how examples are
    divided among nodes; all are 0 where a task has none. ``values`` are what a regression, a forecast or several
    labels at once aim at, in the scale of the model's outputs. ``keys``, float64 (n,) or (n, 2) in [0, 1), say which
    examples are held out: those whose keys are below the held-out fraction; without keys it is drawn. Raises DataError
    if they differ in length or are of other types.
    """

    stored: NDArray[np.float32] | NDArray[np.uint8]
    labels: NDArray[np.int64]
    full_scale: float = 1.0
    values: NDArray[np.float32] | None = None
    keys: NDArray[np.float64] | None = None

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
        if self.keys is not None and (self.keys.dtype != np.float64 or len(self.keys) != len(self.labels)):
            raise DataError(
                f"keys are {self.keys.dtype} of shape {self.keys.shape} for {len(self.labels)} examples;"
                " make them float64 of shape (n,) or (n, 2)"
            )
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
        """Copy the examples at `positions`, without their keys, so that the memory of the whole set can be freed."""
        values = None if self.values is None else self.values[positions]
        return Examples(self.stored[positions], self.labels[positions], self.full_scale, values)


@dataclass(frozen=True, eq=False)
class DataSet:
    """Examples to train on and, unless None, examples to measure the score on; labels are 0..class_count-1.

    ``notes`` say in words what was found out about the data and decided; ``schema`` is what nodes of a run must agree
    on, None where shapes and the class count say it all. ``scaling`` is what was done to the numbers of arrays, None
    where they are as they were measured, or where the schema says it.
    """

    train: Examples
    held_out: Examples | None
    class_count: int
    name: str
    target: Target = field(default_factory=Target)
    notes: tuple[str, ...] = ()
    schema: Schema | None = None
    scaling: ArrayScaling | None = None

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


def load_data_set(
    spec: str, class_count: int | None = None, *, schema: Schema | None = None, task: str = "", scale: bool = True
) -> DataSet:
    """Load `digits`, `csv:FILE`, `idx:DIR` and others (docs/models-and-data.md), a plug-in or `module:function`.

    `class_count` is for nodes whose own data lack the last classes: all nodes of a run need the same count. A
    `schema` says what the columns of a table, or the sizes of images and sounds, are; it wins over options in the
    spec. `task` is for tables without a schema. Bytes are divided by 255, images of other numbers by their largest
    magnitude if that is over 1; features (n, features) and series (n, steps, features) are scaled one by one, by
    this node's own data. Bytes of shape (n, h, w) become (n, 1, h, w), and (n, h, w, c) with one or three channels
    become (n, c, h, w). A user's function returns (images, labels), (x_train, y_train, x_test, y_test), or a DataSet,
    which keeps its scale and shape. Without `scale` numbers of arrays stay as they were measured.
    Raises DataError that names the place and the remedy.
    """
    try:
        return _load(spec, class_count, schema, task, scale)
    except OSError as error:
        raise DataError(f"--data {spec}: {error}; check the path and the permissions") from error
    except MemoryError as error:
        raise DataError(f"--data {spec}: does not fit into the memory of this device; use fewer examples") from error


def names_code(spec: str) -> bool:
    """Return whether the data set is a `module:function`: code that the spec chooses, wherever it comes from."""
    return ":" in spec and not kind_of(spec)


def _load(spec: str, class_count: int | None, schema: Schema | None, task: str, scale: bool) -> DataSet:
    if kind_of(spec):
        file = parse_spec(spec)
        if file.kind in TABLES:
            return _load_table(file, class_count, schema, task)
        return _to_data_set(_read(file, schema), spec, class_count, scale=scale)
    check_kind(spec)
    if schema is not None:
        raise DataError(f"--data {spec}: a schema is for files; leave --schema out")
    if spec == "digits":
        return _to_data_set(replace(read_npz(DIGITS_FILE), full_scale=16), spec, class_count)
    return _load_from_function(spec, class_count, scale)


def _read(file: FileSpec, schema: Schema | None) -> RawSet:
    """Read a file or folder that is no table."""
    if file.kind in FOLDERS:
        return _read_folder(file, schema)
    if schema is not None:
        raise DataError(f"--data {file.text}: {file.kind} has no schema; leave --schema out")
    raw = FILE_READERS[file.kind](file.path)
    return raw if file.options is None or file.kind != "npz" else replace(raw, axes=file.options.axes)


def _read_folder(file: FileSpec, schema: Schema | None) -> RawSet:
    from dslnode.data.readers.audio_folder import read_audio_folder
    from dslnode.data.readers.image_folder import read_image_folder

    read = read_image_folder if file.kind == "images" else read_audio_folder
    return read(file.path, file.options, schema)


def _load_table(file: FileSpec, class_count: int | None, schema: Schema | None, task: str) -> DataSet:
    from dslnode.data.tables.load import prepare_table

    return table_data_set(prepare_table(file, schema, task=task, class_count=class_count).load(), file.text)


def table_data_set(table: LoadedTable, name: str) -> DataSet:
    """Return a table as a data set."""
    examples = Examples(table.inputs, table.labels, values=table.values, keys=table.keys)
    return DataSet(examples, None, table.class_count, name, table.target, table.notes, table.schema)


def _load_from_function(spec: str, class_count: int | None, scale: bool) -> DataSet:
    from dslnode import plugins

    built_in = ("digits", *(f"{prefix}:PATH" for prefix in KINDS))
    function = plugins.data_factory(spec, built_in)
    try:
        result = function()
        if isinstance(result, DataSet):
            return _check_user_data(result if class_count is None else replace(result, class_count=class_count), spec)
        return _to_data_set(_raw_from_result(result, spec), spec, class_count, scale=scale)
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


def _to_data_set(raw: RawSet, spec: str, class_count: int | None, *, scale: bool = True) -> DataSet:
    """Scale, shape and check; the held-out examples follow the scale and the classes of the others."""
    check_numbers(raw.train)
    classes = class_count if class_count is not None else raw.class_count
    classes = classes if classes is not None else count_classes(raw.train)
    check_class_count(classes, spec)
    scaling, notes = _scaling(raw) if scale else (None, ())
    prepare = _preparation(raw, scaling)
    train = _examples(raw.train, prepare, classes)
    held_out = None if raw.held_out is None else _examples(raw.held_out, prepare, classes)
    names = (*raw.class_names, *map(str, range(len(raw.class_names), classes))) if raw.class_names else ()
    schema = raw.schema.model_copy(update={"classes": names}) if raw.schema else None
    data = DataSet(train, held_out, classes, spec, Target(names=names), (*raw.notes, *notes), schema)
    data = data if train.stored.dtype == np.uint8 else replace(data, scaling=scaling)
    _check_shapes(data)
    return data


Preparation = Callable[[RawExamples], tuple[NDArray[np.float32] | NDArray[np.uint8], float]]
"""From examples as read to those that are stored, and the value of these that becomes 1.0."""


def _scaling(raw: RawSet) -> tuple[ArrayScaling, tuple[str, ...]]:
    """Return how numbers of a set are scaled, by those of its training examples, and what to say of it."""
    images = raw.train.images
    if images.dtype.kind == "f":
        check_finite(images, raw.train.source)
    if _are_images(raw):
        return ArrayScaling(full_scale=raw.full_scale or _full_scale(images)), ()
    centre, scale = feature_scales(images)
    axes = f", taken for series of {images.shape[1]} steps of {images.shape[2]} features" if images.ndim == 3 else ""
    note = f"{images.shape[-1]} features{axes}, scaled by this node's own data"
    return ArrayScaling(centre=tuple(centre.tolist()), scale=tuple(scale.tolist())), (note,)


def _are_images(raw: RawSet) -> bool:
    images = raw.train.images
    is_image = raw.axes == "image" or (raw.axes is None and images.dtype.kind in "bu" and images.dtype.itemsize == 1)
    return is_image or images.ndim > 3 or raw.full_scale is not None


def _preparation(raw: RawSet, scaling: ArrayScaling | None) -> Preparation:
    """Return how values of a set are shaped, and scaled if they are."""
    if _are_images(raw):
        scale = 1.0 if scaling is None else scaling.full_scale
        return lambda part: _scaled_images(part, scale)
    if scaling is None:
        return lambda part: (part.images.astype(np.float32), 1.0)
    centre, scales = np.array(scaling.centre), np.array(scaling.scale)
    return lambda part: (scaled(part.images, centre, scales), 1.0)


def _scaled_images(raw: RawExamples, scale: float) -> tuple[NDArray[np.float32] | NDArray[np.uint8], float]:
    images = _with_channels(raw.images)
    if images.dtype == np.uint8:
        return images, scale
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused right after
        return np.divide(images, np.float32(scale), dtype=np.float32), 1.0


def _examples(raw: RawExamples, prepare: Preparation, class_count: int) -> Examples:
    check_numbers(raw)
    labels = checked_labels(raw, class_count)
    if raw.images.dtype.kind == "f":
        check_finite(raw.images, raw.source)
    images, scale = prepare(raw)
    if images.dtype != np.uint8:
        check_finite(images, raw.source)
    return Examples(np.require(images, requirements="C"), labels, scale)


def _with_channels(images: NDArray[Any]) -> NDArray[Any]:
    """Put channels first: (n, h, w) to (n, 1, h, w), (n, h, w, c) to (n, c, h, w); leave the rest."""
    if images.ndim == 3:
        return images[:, np.newaxis]
    channels_last = images.ndim == 4 and images.shape[3] in CHANNEL_COUNTS and images.shape[1] not in CHANNEL_COUNTS
    return images.transpose(0, 3, 1, 2) if channels_last else images


def _full_scale(images: NDArray[Any]) -> float:
    """Return the value that becomes 1.0: 255 for bytes, else the largest magnitude, or 1 if that is smaller."""
    return 255.0 if images.dtype == np.uint8 else max(1.0, float(images.max()), -float(images.min()))


def _check_shapes(data: DataSet) -> None:
    held_out = data.held_out
    if held_out is not None and held_out.stored.shape[1:] != data.input_shape:
        raise DataError(
            f"--data {data.name}: held-out images have the shape {held_out.stored.shape[1:]},"
            f" training images {data.input_shape}; they must be equal"
        )


def _check_user_data(data: DataSet, spec: str) -> DataSet:
    """Hold a DataSet that the user's function built to the same rules, without changing its values."""
    if data.target.task == Task.CLASSIFICATION:
        check_class_count(data.class_count, spec)
    for part, examples in (("train", data.train), ("held_out", data.held_out)):
        if examples is not None:
            raw = RawExamples(examples.stored, examples.labels, f"{spec} ({part})")
            check_size(examples.stored.shape, raw.source)
            check_finite(examples.stored, raw.source)
            if examples.values is not None:
                check_finite(examples.values, f"{raw.source}: values")
            checked_labels(raw, data.class_count)
    _check_shapes(data)
    return data
