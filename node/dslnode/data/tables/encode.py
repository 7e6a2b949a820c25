"""Turns the rows of a table into arrays by its schema: inputs scaled by column, targets, keys for holding out.

Rows are read chunk by chunk into float32, so that a table takes the memory of its inputs and no more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dslnode.data.readers.raw import check_size
from dslnode.data.scaling import scaled
from dslnode.data.schema import Column, ColumnKind, Schema
from dslnode.data.tables.cells import cycle_phases, is_infinite, is_missing, parse_numbers, parse_time
from dslnode.data.tables.inference import class_text, listed
from dslnode.data.tables.row_keys import row_keys
from dslnode.data.tables.source import Cells, Chunk, TableSource
from dslnode.data.target import Task
from dslnode.errors import DataError

SCHEMA_REMEDY = "correct it, or describe the file again with `dslnode data describe`"

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class Rows:
    """Encoded rows: inputs float32 (n, inputs), classes int64 (n,), values float32 (n, targets), keys float64 (n,).

    ``times`` are seconds since 1970, float64 (n,), and ``groups`` texts, where the schema has such columns.
    """

    inputs: Floats
    labels: NDArray[np.int64]
    values: Floats
    keys: NDArray[np.float64]
    times: NDArray[np.float64]
    groups: tuple[str, ...]
    notes: tuple[str, ...]


class GrowingArray:
    """An array that rows are appended to; it grows by half when it is full."""

    def __init__(self, width: int, dtype: type[Any]) -> None:
        self._array = np.empty((0, width), dtype)
        self._length = 0

    def append(self, rows: NDArray[Any]) -> None:
        """Append rows of shape (n, width)."""
        needed = self._length + len(rows)
        if needed > len(self._array):
            self._array.resize((max(needed, len(self._array) * 3 // 2), self._array.shape[1]), refcheck=False)
        self._array[self._length : needed] = rows
        self._length = needed

    def finished(self) -> NDArray[Any]:
        """Return all rows. Nothing can be appended any more."""
        self._array.resize((self._length, self._array.shape[1]), refcheck=False)
        return self._array


@dataclass
class _Counts:
    """What was not as expected, by column."""

    dropped: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    infinite: Counter[str] = field(default_factory=Counter)
    no_target: int = 0
    unfinished: str = ""

    def notes(self) -> tuple[str, ...]:
        notes = []
        if self.no_target:
            notes.append(f"left out: {self.no_target} rows without a target")
        for column, count in self.dropped.items():
            notes.append(f"left out: {count} rows without {column}")
        for column, count in self.unknown.items():
            notes.append(f"unknown categories in {column}: {count} cells, which count as none of the known ones")
        for column, count in self.infinite.items():
            if count:
                notes.append(f"infinite numbers in {column}: {count} cells, which count as cells without a value")
        return (*notes, *([self.unfinished] if self.unfinished else []))


class Encoder:
    """Encodes chunks of a table by a schema, and counts what does not fit."""

    def __init__(self, schema: Schema, names: Sequence[str], source: str) -> None:
        self.schema = schema
        self._positions = {name: position for position, name in enumerate(names)}
        self._counts = _Counts()
        self._check_columns(source)
        self._categories = {
            column.name: {class_text(text): index for index, text in enumerate(column.categories)}
            for column in schema.columns
            if column.categories
        }
        written = next((self._written(name) for name in schema.target), ()) or schema.classes
        self._classes = {class_text(text): index for index, text in enumerate(written)}
        self._width = len(schema.input_names)

    def _written(self, target: str) -> tuple[str, ...]:
        """Return the classes as the file writes them, where it does not write their names."""
        column = self.schema.column(target)
        return column.categories if column.kind is ColumnKind.LABEL else ()

    def _check_columns(self, source: str) -> None:
        series = self.schema.series
        needed = [*(column.name for column in self.schema.inputs), *self.schema.target]
        needed += [name for name in (series.group, series.time) if name] if series else []
        absent = [name for name in needed if name not in self._positions]
        if absent:
            raise DataError(
                f"{source}: the schema's column {absent[0]!r} is not in the file, whose columns are"
                f" {listed(list(self._positions))}; give the file that column, or make another schema"
            )

    def encode(
        self, source: TableSource, name: str, *, chosen: NDArray[np.bool_] | None = None, outline: bool = False
    ) -> Rows:
        """Return all rows, or those that are ``chosen``: bool, one for each row that ``encode`` returns without it.

        An ``outline`` has no inputs. Raises ``DataError`` that names file, line, column and remedy.
        """
        width = 0 if outline else self._width
        inputs, values = GrowingArray(width, np.float32), GrowingArray(len(self.schema.target), np.float32)
        labels, keys, times = (GrowingArray(1, kind) for kind in (np.int64, np.float64, np.float64))
        groups: list[str] = []
        begun = 0
        for chunk in source.chunks():
            part = self._chunk(chunk)
            if part is None:
                continue
            count = len(part[1])
            mine = slice(None) if chosen is None else chosen[begun : begun + count]
            begun += count
            for array, rows in zip((inputs, labels, values, keys, times), part[:5], strict=True):
                array.append(rows[mine, :width] if array is inputs else rows[mine])
            groups += part[5] if chosen is None else []
            check_size((max(1, len(groups)), self._width), name)
        return Rows(
            inputs=inputs.finished(),
            labels=labels.finished()[:, 0],
            values=values.finished(),
            keys=keys.finished()[:, 0],
            times=times.finished()[:, 0],
            groups=tuple(groups),
            notes=self._counts.notes(),
        )

    def _chunk(self, chunk: Chunk) -> tuple[Any, ...] | None:
        """Return the arrays of a chunk; None for an unfinished row that does not fit."""
        if not chunk.is_skipped:
            try:
                arrays = self._arrays(chunk)
            except DataError:
                if not chunk.unfinished:
                    raise
            else:
                self._counts.unfinished = chunk.note_if_taken if chunk.unfinished else ""
                return arrays
        self._counts.unfinished = chunk.note
        return None

    def _arrays(self, chunk: Chunk) -> tuple[Any, ...]:
        count = len(chunk)
        keep = np.ones(count, dtype=bool)
        inputs = np.empty((count, self._width), dtype=np.float32)
        start = 0
        for column in self.schema.inputs:
            encoded, missing = self._column(column, self._cells(column.name, chunk), chunk)
            inputs[:, start : start + encoded.shape[1]] = encoded
            start += encoded.shape[1]
            if column.missing == "indicator":
                inputs[:, start] = missing
                start += 1
            elif column.missing == "drop" and missing.any():
                self._counts.dropped[column.name] += int((missing & keep).sum())
                keep &= ~missing
        labels, values, known = self._targets(chunk)
        self._counts.no_target += int((~known & keep).sum())
        keep &= known
        keys = row_keys(chunk.columns, count)
        times, timed = self._times(chunk)
        keep &= timed
        groups = self._groups(chunk)
        return (
            inputs[keep],
            labels[keep, np.newaxis],
            values[keep],
            keys[keep, np.newaxis],
            times[keep, np.newaxis],
            [group for group, kept in zip(groups, keep, strict=True) if kept],
        )

    def _cells(self, name: str, chunk: Chunk) -> Cells:
        return chunk.columns[self._positions[name]]

    def _column(self, column: Column, cells: Cells, chunk: Chunk) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the inputs of a column, float32 (n, inputs), and which cells have no value, bool (n,)."""
        if column.kind is ColumnKind.NUMBER:
            values = self._numbers(column, cells, chunk)
            missing = np.isnan(values)
            inputs = scaled(values, column.centre or 0.0, column.scale or 1.0)
            inputs[missing] = 0.0
            return inputs[:, np.newaxis], missing
        if column.kind is ColumnKind.TIMESTAMP:
            moments, missing = self._moments(column, cells, chunk)
            return _time_inputs(column, moments, missing), missing
        return self._one_hot(column, as_texts(cells))

    def _numbers(self, column: Column, cells: Cells, chunk: Chunk) -> NDArray[np.float64]:
        if isinstance(cells, np.ndarray):
            finite = np.isfinite(cells)
            self._counts.infinite[column.name] += int((~finite & ~np.isnan(cells)).sum())
            return np.where(finite, cells, np.nan).astype(np.float64)
        values, odd = parse_numbers(cells, chunk.decimal, column.marks)
        wrong = [position for position in odd if not is_infinite(cells[position])]
        self._counts.infinite[column.name] += len(odd) - len(wrong)
        if wrong:
            raise DataError(
                f"{chunk.place(wrong[0])}, column {column.name!r}: {cells[wrong[0]].strip()[:40]!r} is not a number;"
                f" {SCHEMA_REMEDY}"
            )
        return values

    def _moments(self, column: Column, cells: Cells, chunk: Chunk) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        moments = np.full(len(chunk), np.nan)
        for position, cell in enumerate(as_texts(cells)):
            if is_missing(cell, column.marks):
                continue
            moment = parse_time(cell, column.format)
            if moment is None:
                raise DataError(
                    f"{chunk.place(position)}, column {column.name!r}: {cell.strip()[:40]!r} is no point in time of the"
                    f" format {column.format!r}; {SCHEMA_REMEDY}"
                )
            moments[position] = moment
        return moments, np.isnan(moments)

    def _one_hot(self, column: Column, cells: Sequence[str]) -> tuple[Floats, NDArray[np.bool_]]:
        known = self._categories[column.name]
        codes: dict[str, int] = {}
        for text in set(cells):
            codes[text] = -2 if is_missing(text, column.marks) else known.get(class_text(text), -1)
        found = np.array([codes[cell] for cell in cells], dtype=np.int64)
        if (unknown := int((found == -1).sum())) > 0:
            self._counts.unknown[column.name] += unknown
        if column.kind is ColumnKind.FLAG:
            return np.where(found < 0, 0.5, found).astype(np.float32)[:, np.newaxis], found == -2
        return (found[:, np.newaxis] == np.arange(len(column.categories))).astype(np.float32), found == -2

    def _targets(self, chunk: Chunk) -> tuple[NDArray[np.int64], Floats, NDArray[np.bool_]]:
        """Return classes (n,), values (n, targets), and which rows have a target at all."""
        count, targets = len(chunk), self.schema.target
        labels, known = np.zeros(count, dtype=np.int64), np.ones(count, dtype=bool)
        values = np.zeros((count, len(targets)), dtype=np.float32)
        for position, name in enumerate(targets):
            column, cells = self.schema.column(name), self._cells(name, chunk)
            if self.schema.classes:
                labels, known = self._labels(column, as_texts(cells), chunk)
            elif self.schema.task == Task.MULTILABEL:
                found, missing = self._flags(column, as_texts(cells), chunk)
                values[:, position], known = found, known & ~missing
            else:
                numbers = (self._numbers(column, cells, chunk) - (column.centre or 0.0)) / (column.scale or 1.0)
                present = ~np.isnan(numbers)
                values[:, position] = np.where(present, numbers, 0.0)
                known &= present
        return labels, values, known

    def _labels(
        self, column: Column, cells: Sequence[str], chunk: Chunk
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        codes = {
            text: -2 if self._has_no_label(text, column) else self._classes.get(class_text(text, chunk.decimal), -1)
            for text in set(cells)
        }
        found = np.array([codes[cell] for cell in cells], dtype=np.int64)
        if (found == -1).any():
            position = int((found == -1).argmax())
            raise DataError(
                f"{chunk.place(position)}, column {column.name!r}: {cells[position].strip()[:40]!r} is not one of the"
                f" classes {listed(self.schema.classes)}; correct it, or add the class to the schema of all nodes"
            )
        labels = np.minimum(found, 1) if self.schema.task == Task.ANOMALY else found
        return np.maximum(labels, 0), found >= 0

    def _has_no_label(self, text: str, column: Column) -> bool:
        return class_text(text) not in self._classes and is_missing(text, column.marks)

    def _flags(
        self, column: Column, cells: Sequence[str], chunk: Chunk
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        encoded, missing = self._one_hot(column, cells)
        wrong = (encoded[:, 0] == 0.5) & ~missing
        if wrong.any():
            position = int(wrong.argmax())
            raise DataError(
                f"{chunk.place(position)}, column {column.name!r}: {cells[position].strip()[:40]!r} is neither"
                f" {' nor '.join(column.categories)}; {SCHEMA_REMEDY}"
            )
        return encoded[:, 0].astype(np.float64), missing

    def _times(self, chunk: Chunk) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the points in time that order the rows of a series, and which rows have one."""
        time = self.schema.series.time if self.schema.series else ""
        if not time:
            return np.zeros(len(chunk)), np.ones(len(chunk), dtype=bool)
        column, cells = self.schema.column(time), self._cells(time, chunk)
        if column.kind is ColumnKind.TIMESTAMP:
            moments, missing = self._moments(column, cells, chunk)
        else:
            moments, wrong = (cells, []) if isinstance(cells, np.ndarray) else parse_numbers(cells, chunk.decimal)
            if wrong:
                raise DataError(
                    f"{chunk.place(wrong[0])}, column {time!r}: {cells[wrong[0]]!r} is neither a number nor a point in"
                    " time, so that the rows cannot be put in order; name another column with ?time="
                )
            missing = np.isnan(moments)
        self._counts.dropped[time] += int(missing.sum())
        return moments, ~missing

    def _groups(self, chunk: Chunk) -> Sequence[str]:
        group = self.schema.series.group if self.schema.series else ""
        return [""] * len(chunk) if not group else [class_text(text) for text in as_texts(self._cells(group, chunk))]


def _time_inputs(column: Column, moments: NDArray[np.float64], missing: NDArray[np.bool_]) -> Floats:
    parts = []
    for cycle in column.cycles:
        if cycle == "order":
            parts.append(scaled(moments, column.centre or 0.0, column.scale or 1.0))
        else:
            angles = 2 * np.pi * cycle_phases(moments, cycle)
            parts += [np.sin(angles), np.cos(angles)]
    encoded = np.stack(parts, axis=1).astype(np.float32)
    encoded[missing] = 0.0
    return encoded


def as_texts(cells: Cells) -> Sequence[str]:
    """Return cells as texts: a number as short as it can be written, nothing for one that is missing."""
    if not isinstance(cells, np.ndarray):
        return cells
    return ["" if np.isnan(value) else f"{value:.15g}" for value in cells.tolist()]
