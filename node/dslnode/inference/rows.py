"""Reads the examples that a model is to answer: files as in training, with targets or without, or standard input."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dslnode.data.dataset import TABLES, load_data_set
from dslnode.data.spec import check_kind, kind_of, parse_spec
from dslnode.data.target import Task
from dslnode.errors import DataError
from dslnode.inference.model_header import Description

if TYPE_CHECKING:
    from dslnode.data.schema import Schema


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs (n, *input_shape) in the units of the data set, and targets where they are known.

    ``labels`` int64 (n,) for classes and anomalies, ``values`` float32 (n, outputs) in the scale of outputs. ``notes``
    say what of a file was left out, or taken otherwise than it stands there.
    """

    inputs: NDArray[Any]
    labels: NDArray[np.int64] | None = None
    values: NDArray[np.float32] | None = None
    notes: tuple[str, ...] = ()


ARRAYS = ("npz", "idx")
"""Kinds of files whose numbers, unless they are bytes, each node scales by the data that it trains on."""


def read_examples(spec: str, description: Description, *, with_targets: bool) -> Iterator[Examples]:
    """Yield the examples of a data set, in parts. Raises ``DataError`` naming place and remedy."""
    schema = trained_schema(description)
    if kind_of(spec) in TABLES and schema is not None:
        yield from _table(spec, schema if with_targets else without_targets(schema), with_targets=with_targets)
        return
    if schema is not None and not kind_of(spec):
        check_kind(spec)
        raise DataError(f"--data {spec}: is none of the files that this model was made for; give {_example(schema)}")
    classes = description.outputs if description.task == Task.CLASSIFICATION else None
    data = load_data_set(spec, classes, schema=schema, scale=False)
    if kind_of(spec) in ARRAYS and data.train.stored.dtype != np.uint8 and not _knows_scale(description):
        raise DataError(
            f"--data {spec}: numbers in arrays are scaled as in training, and this model's file does not hold that"
            " scale; export it again with this release, or scale them and ask dslnode.load_model(FILE).predict"
        )
    for examples in (data.train, data.held_out):
        if examples is not None:
            inputs = examples.stored
            yield Examples(inputs, examples.labels, examples.values) if with_targets else Examples(inputs)


def _example(schema: Schema) -> str:
    if not schema.columns:
        return "a folder as in training, such as images:DIR"
    from dslnode.data.tables.inference import listed  # with what reads tables

    return f"a table with the columns {listed([column.name for column in schema.inputs])}, such as csv:FILE"


def _knows_scale(description: Description) -> bool:
    return description.input_scaling is not None or description.full_scale != 1


def trial_rows(description: Description, spec: str | None, count: int) -> NDArray[np.float32]:
    """Return up to ``count`` inputs (n, *input_shape) to try a model on: the first of a data set, or random ones."""
    if spec is not None:
        first = next(read_examples(spec, description, with_targets=False))
        return np.asarray(first.inputs[:count], np.float32)
    draws = np.random.default_rng(description.network_seed)
    shape, scaling = (count, *description.input_shape), description.input_scaling
    if scaling is not None and scaling.scale:
        return draws.normal(scaling.centre, scaling.scale, shape).astype(np.float32)
    if description.full_scale == 1:
        return draws.normal(size=shape).astype(np.float32)
    return draws.integers(0, math.ceil(description.full_scale), shape, endpoint=True).astype(np.float32)


def trained_schema(description: Description) -> Schema | None:
    """Return the model's schema, which scales as in training."""
    schema = description.data_schema
    if schema is None or not schema.columns:
        return schema
    return schema.model_copy(update={"scaling": "run"})


def without_targets(schema: Schema) -> Schema:
    """Return a schema that asks for the inputs alone; a forecast's windows reach to the last row that is known."""
    needed = {column.name for column in schema.inputs}
    if schema.series is not None:
        needed |= {schema.series.group, schema.series.time}
    columns = tuple(column for column in schema.columns if column.name in needed)
    changes: dict[str, object] = {"target": (), "classes": (), "columns": columns}
    if schema.task == Task.FORECAST and schema.series is not None:  # what it foretells is not there yet
        changes |= {"task": Task.REGRESSION.value, "series": schema.series.model_copy(update={"horizon": 0})}
    return schema.model_copy(update=changes)


def _table(spec: str, schema: Schema, *, with_targets: bool) -> Iterator[Examples]:
    from dslnode.data.tables.load import prepare_table

    file = parse_spec(spec)
    if with_targets and file.options.target and file.options.target != schema.target:
        raise DataError(
            f"--data {spec}: the model was trained on the target {', '.join(schema.target) or 'nothing'}, and is judged"
            " by it; leave target= out"
        )
    table = prepare_table(file, schema).load()
    if with_targets and schema.task != Task.ANOMALY and not schema.target:
        raise DataError(f"--data {spec}: has no column to judge by; leave --score out")
    labels, values = (table.labels, table.values) if with_targets else (None, None)
    yield Examples(table.inputs, labels, values, table.notes)
