"""Says line by line what of a table does not fit a schema."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dslnode.data.schema import Column, ColumnKind, Schema
from dslnode.data.tables.cells import is_infinite, is_missing, parse_numbers, parse_time
from dslnode.data.tables.encode import as_texts
from dslnode.data.tables.inference import class_text, listed
from dslnode.data.tables.source import Cells, Chunk, TableSource

SHOWN = 40
"""Characters of a cell that a message repeats."""


def problems(source: TableSource, schema: Schema) -> Iterator[str]:
    """Yield what does not fit, in the order of the rows. Raises ``DataError`` where a row cannot be read at all."""
    positions = {name: position for position, name in enumerate(source.names)}
    used = [column for column in schema.columns if column.kind is not ColumnKind.IGNORED]
    for column in used:
        if column.name not in positions:
            yield f"column {column.name!r}: is not in the file, whose columns are {listed(source.names)}"
    here = [column for column in used if column.name in positions]
    for chunk in source.chunks():
        if chunk.is_skipped:
            yield chunk.note
            continue
        found = [
            (position, f"{chunk.place(position)}, column {column.name!r}: {message}")
            for column in here
            for position, message in _problems(column, chunk.columns[positions[column.name]], schema, chunk)
        ]
        yield from (message for _, message in sorted(found, key=lambda pair: pair[0]))


def _problems(column: Column, cells: Cells, schema: Schema, chunk: Chunk) -> Iterator[tuple[int, str]]:
    if column.kind is ColumnKind.NUMBER:
        return _number_problems(column, cells, chunk)
    texts = as_texts(cells)
    if column.kind is ColumnKind.TIMESTAMP:
        return _time_problems(column, texts)
    known = column.categories or schema.classes
    return _category_problems(column, texts, known, chunk.decimal)


def _number_problems(column: Column, cells: Cells, chunk: Chunk) -> Iterator[tuple[int, str]]:
    wrong: list[int] = []
    if isinstance(cells, np.ndarray):
        values = np.asarray(cells, dtype=np.float64)
    else:
        values, wrong = parse_numbers(cells, chunk.decimal, column.marks)
    for position in wrong:
        infinite = is_infinite(str(cells[position]))
        what = "infinite, and counts as a cell without a value" if infinite else "not a number"
        yield position, f"{_shown(str(cells[position]))} is {what}"
    if column.low is not None and column.high is not None:
        for position in np.flatnonzero((values < column.low) | (values > column.high)).tolist():
            yield position, f"{values[position]:g} is outside of {column.low:g} to {column.high:g}, the range seen"


def _time_problems(column: Column, texts: Sequence[str]) -> Iterator[tuple[int, str]]:
    for position, text in enumerate(texts):
        if not is_missing(text, column.marks) and parse_time(text, column.format) is None:
            yield position, f"{_shown(text)} is no point in time of the format {column.format!r}"


def _category_problems(
    column: Column, texts: Sequence[str], known: Sequence[str], decimal: str
) -> Iterator[tuple[int, str]]:
    names = {class_text(name) for name in known}
    what = "classes" if column.kind is ColumnKind.LABEL else "categories"
    fits = {text: is_missing(text, column.marks) or class_text(text, decimal) in names for text in set(texts)}
    for position, text in enumerate(texts):
        if not fits[text]:
            yield position, f"{_shown(text)} is not one of the {what} {listed(known)}"


def _shown(text: str) -> str:
    return repr(text.strip()[:SHOWN])
