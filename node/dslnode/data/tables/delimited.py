"""Reads text tables (`csv:`): separators, headers and encodings as people have them, with the line of every row.

Python's own csv module does the work: it needs no memory to speak of, and no package (decision 21 has the figures).
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dslnode.data.readers.raw import MAX_VALUES, existing_file
from dslnode.data.schema import MAX_COLUMNS
from dslnode.data.spec_options import CsvOptions
from dslnode.data.tables.dialect import Dialect, csv_reader, find_dialect, prepared
from dslnode.data.tables.source import Chunk, chunk_rows, unique_names
from dslnode.data.tables.text_stream import TextFile, open_text
from dslnode.errors import DataError

SAMPLE_LINES = 200
SAMPLE_CHARACTERS = 2**20
COMMENT = "#"


@dataclass(frozen=True, eq=False)
class DelimitedFile:
    """A text table whose dialect is known."""

    file: TextFile
    dialect: Dialect
    names: tuple[str, ...]
    renamed: tuple[str, ...] = ()

    @property
    def has_header(self) -> bool:
        """Whether a header names the columns, with names rather than numbers."""
        return bool(self.dialect.header) and not all(name.isdecimal() for name in self.names)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found out about the file, in words."""
        return (*self.file.notes, *self.dialect.notes, *self.renamed)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, where the first line has them."""
        return self.dialect.counted

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows. Raises ``DataError`` that names the line."""
        lines = _Lines(self.file.lines(), self.dialect.separator)
        reader = csv_reader(lines, self.dialect.separator)
        rows: list[list[str]] = []
        numbers: list[int] = []
        size = chunk_rows(len(self.names))
        try:
            for row in self._fitted(reader, lines):
                if lines.unterminated and not rows:
                    yield self._chunk([row], [lines.number], unfinished=True)
                    continue
                if lines.unterminated:
                    yield self._chunk(rows, numbers)
                    rows, numbers = [], []
                    yield self._chunk([row], [lines.number], unfinished=True)
                    continue
                rows.append(row)
                numbers.append(lines.number)
                if len(rows) == size:
                    yield self._chunk(rows, numbers)
                    rows, numbers = [], []
        except csv.Error as error:
            raise DataError(
                f"{self.file.path}, line {lines.number}: {error}; a quotation mark may lack its end"
            ) from error
        if rows:
            yield self._chunk(rows, numbers)
        if lines.skipped:
            yield Chunk(
                columns=[()] * len(self.names), numbers=[lines.number], file=str(self.file.path), is_skipped=True
            )

    def _chunk(self, rows: list[list[str]], numbers: list[int], *, unfinished: bool = False) -> Chunk:
        columns = list(zip(*rows, strict=True))
        return Chunk(
            columns=columns,
            numbers=numbers,
            file=str(self.file.path),
            decimal=self.dialect.decimal,
            unfinished=unfinished,
        )

    def _fitted(self, reader: Iterator[list[str]], lines: _Lines) -> Iterator[list[str]]:
        """Yield the rows below the header that have the right number of cells, and refuse others."""
        width = len(self.names)
        skip = bool(self.dialect.has_counts or (self.dialect.header and not self._named_by_comment))
        for row in reader:
            if not row or (not any(row) and width > 1):
                continue
            if skip:
                skip = False
                continue
            if lines.open_quote:
                lines.skipped = True
                return
            if len(row) == width:
                yield row
            elif len(row) > width and not any(cell.strip() for cell in row[width:]):
                yield row[:width]
            elif lines.unterminated:  # the last line, and it may still be being written
                lines.skipped = True
                return
            else:
                raise DataError(
                    f"{self.file.path}, line {lines.number}: has {len(row)} cells where {self._measure} has {width};"
                    " give each row one cell per column, and quote cells that hold the separator"
                )

    @property
    def _measure(self) -> str:
        return "the header" if self.dialect.header else "the first row"

    @property
    def _named_by_comment(self) -> bool:
        return self.dialect.header_in_comment


class _Lines:
    """Lines without comments, and the number of the last one; csv's own count would leave the comments out."""

    def __init__(self, lines: Iterator[str], separator: str) -> None:
        self._lines, self._separator = lines, separator
        self._begun = False
        self.number = 0
        self.unterminated = False
        self.open_quote = False
        self.skipped = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        for line in self._lines:
            self.number += 1
            if line.startswith(COMMENT):
                continue
            self.unterminated = not line.endswith(("\n", "\r"))
            self.open_quote = self.unterminated and line.count('"') % 2 == 1
            return prepared(line, self._separator)
        raise StopIteration


def open_delimited(path: Path, options: CsvOptions) -> DelimitedFile:
    """Find out how a text table is written. Raises ``DataError`` if it is none, or its header does not fit."""
    # A value takes at least two characters with its comma, so this bounds how many there can be.
    if existing_file(path).stat().st_size > 2 * MAX_VALUES:
        raise DataError(f"{path}: longer than the {2 * MAX_VALUES} bytes that are read as text; use Parquet")
    file = open_text(path, options.encoding)
    comment, lines = _first_lines(file)
    try:
        dialect = find_dialect(
            lines, comment, separator=options.separator, decimal=options.decimal, header=options.header
        )
    except csv.Error as error:
        raise DataError(f"{path}: {error}; a quotation mark may lack its end") from error
    if dialect.width == 0:
        raise DataError(f"{path}: no examples; it holds no rows")
    if dialect.width > MAX_COLUMNS:
        raise DataError(f"{path}: {dialect.width} columns, over the limit of {MAX_COLUMNS}; drop some of them")
    header = _fitted_header(dialect, path)
    names = unique_names(header or [""] * dialect.width, str(path), "unnamed" if header else "column")
    changed = [f"{old!r} is called {new!r}" for old, new in zip(header, names, strict=False) if old.strip(" '") != new]
    renamed = ("columns without a name of their own: " + ", ".join(changed[:5]),) if changed else ()
    return DelimitedFile(file, dialect, names, renamed)


def _fitted_header(dialect: Dialect, path: Path) -> tuple[str, ...]:
    header = dialect.header
    while len(header) > dialect.width and not header[-1].strip():
        header = header[:-1]
    if header and len(header) != dialect.width:
        raise DataError(
            f"{path}, line 1: the header has {len(header)} cells, the rows have {dialect.width};"
            " give each column one name, the row names too (or say header=no if the first line is a row)"
        )
    return header


def _first_lines(file: TextFile) -> tuple[str, list[str]]:
    """Return the last comment before the table, and the table's first lines; one that was cut off is left out."""
    comment, lines, characters = "", list[str](), 0
    for line in itertools.islice(file.lines(), 100_000):
        if line.startswith(COMMENT):
            comment = comment if lines else line.lstrip(COMMENT).strip() or line.strip()
        elif line.strip():
            lines.append(line)
            characters += len(line)
        if len(lines) >= SAMPLE_LINES or characters > SAMPLE_CHARACTERS:
            break
    whole = [line for line in lines if line.endswith(("\n", "\r"))]
    return comment, whole if len(whole) > 1 else lines
