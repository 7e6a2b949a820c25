"""Reads rows that come one by one, as CSV with a header on standard input, as the model's schema says."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

from dslnode.data.schema import ColumnKind, Schema
from dslnode.data.tables.cells import is_infinite
from dslnode.data.tables.dialect import csv_reader
from dslnode.data.tables.encode import Encoder
from dslnode.data.tables.source import Chunk, check_distinct
from dslnode.errors import DataError
from dslnode.inference.model_header import Description
from dslnode.inference.row_batch import row_schema
from dslnode.inference.rows import Examples

MAX_LINE_CHARACTERS = 2**20
SEPARATOR = ","
NAME = "standard input"


@dataclass(frozen=True)
class _Row:
    """A table of one row, which has come just now."""

    names: tuple[str, ...]
    cells: tuple[str, ...]
    line: int
    has_header: bool = True
    notes: tuple[str, ...] = ()

    def chunks(self) -> Iterator[Chunk]:
        yield Chunk(columns=[[cell] for cell in self.cells], numbers=[self.line], file=NAME)


def stream_rows(stream: TextIO, description: Description) -> Iterator[Examples]:
    """Yield one example per row as soon as its line has come. Raises ``DataError`` naming line, column and remedy."""
    schema = _row_schema(description)
    lines = _Lines(stream)
    rows = csv_reader(lines, SEPARATOR)
    try:
        names = tuple(cell.strip() for cell in next(rows, []))
        if not names:
            raise DataError(f"{NAME}: is empty; give a header with the names of the columns, then rows")
        check_distinct(names, NAME)
        encoder, answered = Encoder(schema, names, NAME), 0
        for cells in filter(None, rows):
            yield _example(encoder, names, cells, lines.number)
            answered += 1
        if not answered:
            raise DataError(f"{NAME}: holds no row below its header; give one row per line")
    except csv.Error as error:
        raise DataError(f"{NAME}, line {lines.number}: {error}; a quotation mark may lack its end") from error


def _row_schema(description: Description) -> Schema:
    schema = row_schema(description)
    if schema is None:
        raise DataError("--data -: the model has no schema of columns; give it a file, as --data of dslnode start")
    if schema.series is not None:
        raise DataError("--data -: the model answers windows of several rows; give them as a file (csv:FILE)")
    return schema


def _example(encoder: Encoder, names: tuple[str, ...], cells: list[str], line: int) -> Examples:
    if len(cells) != len(names):
        raise DataError(
            f"{NAME}, line {line}: has {len(cells)} cells where the header has {len(names)}; give one cell per column"
        )
    numbers = {column.name for column in encoder.schema.inputs if column.kind is ColumnKind.NUMBER}
    infinite = [name for name, cell in zip(names, cells, strict=True) if name in numbers and is_infinite(cell)]
    notes = tuple(f"{NAME}, line {line}: the infinite {name} counts as a cell without a value" for name in infinite)
    inputs = encoder.encode(_Row(names, tuple(cells), line), NAME).inputs
    if not len(inputs):
        raise DataError(f"{NAME}, line {line}: lacks a value that the schema does not do without; fill it in")
    return Examples(inputs, notes=notes)


class _Lines:
    """The lines of a stream as they come, each bounded, and the number of the last one."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.number = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._stream.readline(MAX_LINE_CHARACTERS + 1)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) > MAX_LINE_CHARACTERS:
            raise DataError(
                f"{NAME}, line {self.number}: longer than the {MAX_LINE_CHARACTERS:,} characters that are read;"
                " give one row per line"
            )
        return line.removeprefix("\ufeff")
