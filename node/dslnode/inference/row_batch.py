"""Encodes examples that came together in one message, as CSV, JSON or typed columns, as the model's schema says."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dslnode.data.schema import Column, ColumnKind, Schema
from dslnode.data.tables.cells import is_infinite, is_missing
from dslnode.data.tables.encode import Encoder
from dslnode.data.tables.inference import listed
from dslnode.data.tables.json_lines import flat_record
from dslnode.data.tables.source import Cells, Chunk, check_distinct
from dslnode.data.tables.windows import cut_windows
from dslnode.errors import DataError
from dslnode.inference.model_header import Description
from dslnode.inference.rows import trained_schema, without_targets

Place = Literal["row", "line"]
Array = NDArray[Any]
NAME = "the message"
MAX_VALUES = 2**24
"""Upper bound of the inputs of all rows of a message: 64 MiB. Categories and windows make many of few cells."""
TRUTHS = {"false": 0, "true": 1}


@dataclass(frozen=True, eq=False, kw_only=True)
class RowBatch:
    """Rows that came together: their cells by column, and the number of each row. It is read as a table is."""

    names: tuple[str, ...]
    columns: Sequence[Cells]
    numbers: Sequence[int]
    unit: Place
    has_header: bool = True
    notes: tuple[str, ...] = ()

    def chunks(self) -> Iterator[Chunk]:
        """Yield all rows at once: they are in memory already."""
        yield Chunk(columns=self.columns, numbers=self.numbers, file=NAME, unit=self.unit)


def row_schema(description: Description) -> Schema | None:
    """Return the columns that rows need, without the targets; None for a model of images or arrays."""
    schema = trained_schema(description)
    return without_targets(schema) if schema is not None and schema.columns else None


def needed_columns(schema: Schema) -> tuple[Column, ...]:
    """Return the columns that a row needs: the inputs, and what groups and orders the rows of a series."""
    series = {schema.series.group, schema.series.time} if schema.series else set[str]()
    inputs = {column.name for column in schema.inputs}
    return tuple(column for column in schema.columns if column.name in inputs | series)


def encode_batch(batch: RowBatch, schema: Schema) -> Array:
    """Return the inputs float32 (n, *input_shape) of rows. ``DataError`` that names place and remedy."""
    needed = [column.name for column in needed_columns(schema)]
    absent = [name for name in needed if name not in batch.names]
    if absent:
        raise DataError(
            f"{NAME}: lacks the column {absent[0]!r} among {listed(batch.names)}; the model needs {listed(needed)}"
        )
    _check_finite(batch, schema)
    _check_complete(batch, schema)
    _check_values(batch, schema)
    rows = Encoder(schema, batch.names, NAME).encode(batch, NAME)
    return rows.inputs if schema.series is None else cut_windows(rows, schema, NAME).inputs


def csv_batch(text: str, max_rows: int) -> RowBatch:
    """Return the rows of CSV with a header, separated by commas. ``DataError`` that names line and remedy."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), skipinitialspace=True)
    rows: list[list[str]] = []
    numbers: list[int] = []
    try:
        names = tuple(cell.strip() for cell in next(reader, []))
        check_distinct(names, NAME)
        for cells in filter(None, reader):
            if len(cells) != len(names):
                raise DataError(
                    f"{NAME}, line {reader.line_num}: has {len(cells)} cells where the header has {len(names)};"
                    " give one cell per column"
                )
            rows.append(cells)
            numbers.append(reader.line_num)
            check_count(len(rows), max_rows)
    except csv.Error as error:
        raise DataError(
            f"{NAME}, line {reader.line_num}: {error}; a quotation mark may lack its end, or a cell is too long"
        ) from error
    if not rows:
        raise DataError(f"{NAME}: holds no row; give a header with the names of the columns, then one row per line")
    return RowBatch(names=names, columns=list(zip(*rows, strict=True)), numbers=numbers, unit="line")


def object_batch(rows: Sequence[Any], schema: Schema, numbers: Sequence[int], unit: Place) -> RowBatch:
    """Return rows that are objects by column name, or lists in the order of the schema. ``DataError`` names the row."""
    needed = needed_columns(schema)
    records = [_record(row, needed, f"{NAME}, {unit} {number}") for row, number in zip(rows, numbers, strict=True)]
    columns = [[record[column.name] for record in records] for column in needed]
    return RowBatch(names=tuple(column.name for column in needed), columns=columns, numbers=numbers, unit=unit)


def array_batch(rows: Sequence[Any], description: Description, numbers: Sequence[int], unit: Place) -> Array:
    """Return rows that are arrays of numbers, flat or nested, as float32 (n, *input_shape). ``DataError``."""
    inputs = np.empty((len(rows), *description.input_shape), np.float32)
    for place, (row, number) in enumerate(zip(rows, numbers, strict=True)):
        inputs[place] = _array(row, description.input_shape, f"{NAME}, {unit} {number}")
    return inputs


def check_count(rows: int, max_rows: int) -> None:
    """Raise ``DataError`` if there are more rows than may come at once."""
    if rows > max_rows:
        raise DataError(f"{NAME}: has more than the {max_rows:,} rows that are answered at once; send fewer at a time")


def shape_text(shape: Sequence[int]) -> str:
    """Return a shape as people write it, such as 1x28x28."""
    return "x".join(map(str, shape))


def _check_values(batch: RowBatch, schema: Schema) -> None:
    window = schema.series.window if schema.series else 1
    values = len(batch.numbers) * window * len(schema.input_names)
    if values > MAX_VALUES:
        raise DataError(
            f"{NAME}: its {len(batch.numbers):,} rows become {values:,} values, over the limit of {MAX_VALUES:,}; send"
            " fewer at a time"
        )


def _check_finite(batch: RowBatch, schema: Schema) -> None:
    """Refuse infinite numbers, which count as missing in a file: an answer cannot say that one was."""
    for column in (column for column in needed_columns(schema) if column.kind is ColumnKind.NUMBER):
        for place, cell in enumerate(batch.columns[batch.names.index(column.name)]):
            if is_infinite(cell) if isinstance(cell, str) else np.isinf(cell):
                where = f"{NAME}, {batch.unit} {batch.numbers[place]}, column {column.name!r}"
                raise DataError(f"{where}: {cell!s} is not a finite number; correct it, or leave it empty (JSON: null)")


def _check_complete(batch: RowBatch, schema: Schema) -> None:
    """Refuse a row without a value that the schema does not do without: each row gets an answer, or none does."""
    time = schema.series.time if schema.series else ""
    for column in needed_columns(schema):
        if column.missing != "drop" and column.name != time:
            continue
        for place, cell in enumerate(batch.columns[batch.names.index(column.name)]):
            if is_missing(cell, column.marks) if isinstance(cell, str) else np.isnan(cell):
                where = f"{NAME}, {batch.unit} {batch.numbers[place]}"
                raise DataError(f"{where}: lacks a value of {column.name!r}, which the model needs; fill it in")


def _record(row: Any, needed: Sequence[Column], where: str) -> dict[str, str]:
    """Return the cells of a row by column name."""
    names = [column.name for column in needed]
    if isinstance(row, list):
        if len(row) != len(names):
            raise DataError(f"{where}: has {len(row)} values, and the model needs {len(names)}: {listed(names)}")
        row = dict(zip(names, row, strict=True))
    if not isinstance(row, dict):
        raise DataError(f"{where}: is no object by column name, and no list in the order {listed(names)}")
    try:
        cells = flat_record(row)
    except ValueError as error:
        raise DataError(f"{where}: {error}; give one value per column") from error
    absent = [name for name in names if name not in cells]
    if absent:
        raise DataError(f"{where}: lacks {absent[0]!r}, which the model needs; give it, as null if it has no value")
    return {column.name: _flag(cells[column.name], column) for column in needed}


def _flag(cell: str, column: Column) -> str:
    """Return true and false as the data write them, which may say yes and no."""
    is_other = column.kind is ColumnKind.FLAG and cell in TRUTHS and cell not in map(str.lower, column.categories)
    return column.categories[TRUTHS[cell]] if is_other else cell


def _array(row: Any, shape: tuple[int, ...], where: str) -> NDArray[np.float32]:
    try:
        values = np.asarray(row, np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{where}: is no array of numbers of the shape {shape_text(shape)}") from error
    if values.shape not in {shape, (int(np.prod(shape)),)}:
        raise DataError(
            f"{where}: has the shape {shape_text(values.shape) or 'of one number'}, and the model needs"
            f" {shape_text(shape)}"
        )
    if not np.isfinite(values).all():
        raise DataError(f"{where}: holds a value that is infinite or no number; give numbers")
    return values.reshape(shape)
