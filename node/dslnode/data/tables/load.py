"""Loads a table as examples: opens its files, takes or makes its schema, encodes its rows, cuts its windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dslnode.data.scaling import mean_scale, robust_scale
from dslnode.data.schema import Column, Schema
from dslnode.data.spec import FileSpec
from dslnode.data.spec_options import TaskOptions
from dslnode.data.tables.encode import Encoder, Rows
from dslnode.data.tables.inference import Wishes, infer_schema
from dslnode.data.tables.profile import Profile, profile_table
from dslnode.data.tables.source import TableSource, joined, matching_files
from dslnode.data.tables.windows import cut_windows
from dslnode.data.target import Target, Task
from dslnode.errors import DataError

LOCAL_SCALING = "numbers are scaled by this node's own data (scaling = local); a shared --schema scales all nodes alike"


@dataclass(frozen=True, eq=False, kw_only=True)
class LoadedTable:
    """A table as examples: inputs float32 (n, ...), labels int64 (n,), values float32 (n, outputs) or None.

    ``keys`` say which examples are held out (`row_keys`): float64 (n,), or (n, 2) where an example spans rows.
    """

    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]
    values: NDArray[np.float32] | None
    keys: NDArray[np.float64]
    class_count: int
    target: Target
    schema: Schema
    notes: tuple[str, ...]


def open_table(spec: FileSpec) -> TableSource:
    """Open the file or files that a spec names. Raises ``DataError``."""
    if spec.kind == "sqlite":
        from dslnode.data.tables.sqlite import open_sqlite

        return open_sqlite(spec.path, spec.options)
    paths = matching_files(spec.path)
    opener = _opener(spec.kind)
    return joined([opener(path, spec.options) for path in paths], paths)


def _opener(kind: str) -> Callable[[Path, Any], TableSource]:
    if kind == "jsonl":
        from dslnode.data.tables.json_lines import open_json_lines

        return open_json_lines
    if kind == "parquet":
        from dslnode.data.tables.parquet import open_parquet

        return open_parquet
    from dslnode.data.tables.delimited import open_delimited

    return open_delimited


def describe_table(
    spec: FileSpec, *, task: str = "", class_count: int | None = None
) -> tuple[Schema, TableSource, tuple[str, ...]]:
    """Return the schema of a table with centres and scales of its numbers, its source, and what was found out."""
    source = open_table(spec)
    profile = profile_table(source)
    schema, notes = infer_schema(profile, _wishes(spec, source, task, class_count))
    return schema, source, (*source.notes, *notes)


def _wishes(spec: FileSpec, source: TableSource, task: str, class_count: int | None) -> Wishes:
    return Wishes(
        options=spec.options,
        task=task,
        class_count=class_count,
        class_names=getattr(source, "class_names", ()),
        has_header=source.has_header,
        source=str(spec.path),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class PreparedTable:
    """A table whose schema is known, and whose rows can be read as often as needed."""

    path: str
    source: TableSource
    schema: Schema
    notes: tuple[str, ...]

    def load(self, chosen: NDArray[np.bool_] | None = None) -> LoadedTable:
        """Read all rows, or those of the outline that are chosen. Raises ``DataError`` naming place and remedy."""
        return self._loaded(self._encoded(chosen=chosen))

    def outline(self) -> LoadedTable:
        """Read all rows without their inputs: enough to choose among them."""
        return self._loaded(self._encoded(outline=True))

    def _encoded(self, *, chosen: NDArray[np.bool_] | None = None, outline: bool = False) -> Rows:
        encoder = Encoder(self.schema, self.source.names, self.path)
        rows = encoder.encode(self.source, self.path, chosen=chosen, outline=outline)
        if not len(rows.labels):
            raise DataError(f"{self.path}: no row is left; {'; '.join(rows.notes) or 'the table is empty'}")
        return rows

    def _loaded(self, rows: Rows) -> LoadedTable:
        return _loaded(rows, self.schema, self.path, (*self.notes, *rows.notes))


def prepare_table(
    spec: FileSpec, schema: Schema | None, *, task: str = "", class_count: int | None = None
) -> PreparedTable:
    """Open a table with its schema, or one made from it. Raises ``DataError`` that names place and remedy."""
    if schema is None:
        used, source, notes = describe_table(spec, task=task, class_count=class_count)
        notes = (*notes, LOCAL_SCALING)
    else:
        source = open_table(spec)
        used, notes = _prepared(schema, source, spec.options)
    return PreparedTable(path=str(spec.path), source=source, schema=used, notes=notes)


def _prepared(schema: Schema, source: TableSource, options: TaskOptions) -> tuple[Schema, tuple[str, ...]]:
    """Return a shared schema with this node's own centres and scales, where it leaves them to the nodes."""
    given = sorted(options.model_fields_set & set(TaskOptions.model_fields))
    overruled = (f"the schema wins over the options {', '.join(given)}",) if given else ()
    if not schema.columns:
        raise DataError("the schema has no columns, so it is none of a table; make one with `dslnode data describe`")
    if schema.scaling == "run":
        return schema, (*source.notes, *overruled)
    profile = profile_table(source)
    return with_local_scales(schema, profile), (*source.notes, *overruled, LOCAL_SCALING)


def with_local_scales(schema: Schema, profile: Profile) -> Schema:
    """Return the schema with the centres and scales of one's own numbers."""
    seen = {column.name: column for column in profile.columns}

    def scaled(column: Column) -> Column:
        own = seen.get(column.name)
        if column.kind != "number" or own is None or not own.numbers:
            return column
        centre, scale = mean_scale(own.sample) if column.name in schema.target else robust_scale(own.sample)
        return column.model_copy(update={"centre": centre, "scale": scale})

    return schema.model_copy(update={"columns": tuple(scaled(column) for column in schema.columns)})


def _loaded(rows: Rows, schema: Schema, source: str, notes: Sequence[str]) -> LoadedTable:
    inputs: NDArray[np.float32] = rows.inputs
    labels, values, keys = rows.labels, rows.values, rows.keys
    if schema.series is not None:
        windows = cut_windows(rows, schema, source)
        inputs, labels, values, keys = windows.inputs, windows.labels, windows.values, windows.keys
    has_values = schema.task in {Task.REGRESSION, Task.FORECAST, Task.MULTILABEL}
    own_values = schema.task not in set(Task) and not schema.classes
    return LoadedTable(
        inputs=inputs,
        labels=labels,
        values=values if (has_values or own_values) and values.shape[1] else None,
        keys=keys,
        class_count=_class_count(schema),
        target=target_of(schema),
        schema=schema,
        notes=tuple(notes),
    )


def _class_count(schema: Schema) -> int:
    if schema.task == Task.ANOMALY:
        return 2 if schema.target else 1
    return max(1, len(schema.classes))


def target_of(schema: Schema) -> Target:
    """Return what a model of this schema answers."""
    if schema.task == Task.ANOMALY:
        return Target(task=schema.task, names=("normal", "anomaly") if schema.target else ())
    if schema.classes or schema.task == Task.MULTILABEL:
        return Target(task=schema.task, names=schema.classes or schema.target)
    columns = [schema.column(name) for name in schema.target]
    steps = schema.series.horizon if schema.series is not None and schema.task == Task.FORECAST else 0
    repeated = [column for column in columns for _ in range(max(1, steps))]
    names = [f"{column.name}+{step}" for column in columns for step in range(1, steps + 1)] if steps else schema.target
    return Target(
        task=schema.task,
        names=tuple(names),
        units=tuple(column.unit for column in repeated),
        centre=tuple(column.centre or 0.0 for column in repeated),
        scale=tuple(column.scale or 1.0 for column in repeated),
        last_values=_last_values(schema, repeated) if steps else (),
    )


def _last_values(schema: Schema, columns: Sequence[Column]) -> tuple[int, ...]:
    """Return where in a flattened window the last known value of each output stands."""
    assert schema.series is not None
    names = schema.input_names
    return tuple((schema.series.window - 1) * len(names) + names.index(column.name) for column in columns)
