"""Where rows of a table come from: chunks of columns, each row with the place where it stands in a file."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dslnode.errors import DataError

CHUNK_CELLS = 65_536
MAX_FILES = 10_000

Cells = Sequence[str] | NDArray[np.float64]
"""Cells of a column: texts as they are in the file, or numbers with NaN for a cell without a value."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Chunk:
    """Some consecutive rows: the cells by column, and the number of each row in its file.

    ``unfinished`` marks a last row without a line end, which may still be being written, or be whole: many programs
    write none. It comes alone. ``is_skipped`` marks one that cannot be a row yet, and has no cells.
    """

    columns: Sequence[Cells]
    numbers: Sequence[int]
    file: str
    unit: str = "line"
    decimal: str = "."
    unfinished: bool = False
    is_skipped: bool = False

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.numbers)

    @property
    def note(self) -> str:
        """What to say of a last row that is left out."""
        return f"{self.place(0)}: left out, since it is not finished"

    @property
    def note_if_taken(self) -> str:
        """What to say of a last row that may be unfinished, and fits."""
        return f"{self.place(0)}: has no line end, and is taken for a whole row"

    def place(self, position: int) -> str:
        """Return where a row is, for a message."""
        return f"{self.file}, {self.unit} {self.numbers[position]}"


class TableSource(Protocol):
    """A table that can be read as often as needed."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""

    @property
    def has_header(self) -> bool:
        """Whether the file itself names the columns."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found out about the file, in words."""

    def chunks(self) -> Iterator[Chunk]:
        """Yield all rows in order. Raises ``DataError`` that names file and line."""


@dataclass(frozen=True, eq=False)
class JoinedFiles:
    """Several files of the same columns, one after the other."""

    files: tuple[TableSource, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self.files[0].names

    @property
    def has_header(self) -> bool:
        """Whether the files themselves name the columns."""
        return self.files[0].has_header

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found out about the first file, and how many there are."""
        return (f"{len(self.files)} files", *self.files[0].notes)

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows of all files."""
        for file in self.files:
            yield from file.chunks()


def joined(files: Sequence[TableSource], paths: Sequence[Path]) -> TableSource:
    """Return one source of all files. Raises ``DataError`` if their columns are not the same."""
    for file, path in zip(files, paths, strict=True):
        if file.names != files[0].names:
            odd = next(
                (pair for pair in zip(file.names, files[0].names, strict=False) if pair[0] != pair[1]),
                (f"{len(file.names)} columns", f"{len(files[0].names)}"),
            )
            raise DataError(
                f"{path}: has {odd[0]!r} where {paths[0]} has {odd[1]!r};"
                " files that one pattern names need the same columns in the same order"
            )
    return files[0] if len(files) == 1 else JoinedFiles(tuple(files))


def matching_files(path: Path) -> list[Path]:
    """Return the files that a path or a pattern (``*``, ``?``, ``[...]``, ``**``) names, in the order of their names.

    Raises ``DataError`` if there is none, or too many.
    """
    if path.exists() or not any(sign in str(path) for sign in "*?["):
        return [path]
    found = sorted(Path(name) for name in glob.iglob(str(path), recursive=True))
    found = [file for file in found if file.is_file()]
    if not found:
        raise DataError(f"{path}: no file matches this pattern; check the path given with --data")
    if len(found) > MAX_FILES:
        raise DataError(f"{path}: matches {len(found)} files, over the limit of {MAX_FILES}; give a narrower pattern")
    return found


def chunk_rows(columns: int) -> int:
    """Return how many rows a chunk has, so that it stays small whatever the number of columns."""
    return max(1, CHUNK_CELLS // max(1, columns))


def check_distinct(names: Sequence[str], place: str) -> None:
    """Raise ``DataError`` if two columns have one name: a schema and a model know columns by their names."""
    first: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if name and first.setdefault(name, number) != number:
            raise DataError(
                f"{place}: the columns {first[name]} and {number} are both called {name!r}; give each a name of its own"
            )


def unique_names(names: Sequence[str], place: str, unnamed: str = "unnamed") -> tuple[str, ...]:
    """Return the names as they can be printed, and ``unnamed_3`` for an empty one.

    Raises ``DataError`` that names the ``place`` if two are the same.
    """
    names = [_printable(name) for name in names]
    check_distinct(names, place)
    taken: set[str] = set()
    result = []
    for number, name in enumerate(names, start=1):
        plain = base = name or f"{unnamed}_{number}"
        repeat = 2
        while plain in taken:
            plain, repeat = f"{base}_{repeat}", repeat + 1
        taken.add(plain)
        result.append(plain)
    return tuple(result)


def _printable(name: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in name).strip().strip("'")[:200]
