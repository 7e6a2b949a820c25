"""Reads a table or the result of a query from a SQLite file (`sqlite:FILE?table=readings`), and never changes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from dslnode.data.spec_options import SqliteOptions
from dslnode.data.tables.source import Chunk, chunk_rows, unique_names
from dslnode.errors import DataError

PERMITTED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
"""What a query may do: read. It opens no other file and changes nothing."""
MAX_CELL_CHARACTERS = 2**20
BROKEN = (sqlite3.Error, UnicodeDecodeError)
"""What is raised for a damaged file; SQLite's own messages may quote bytes of it that are no text."""


@dataclass(frozen=True, eq=False)
class SqliteTable:
    """The rows of a table or query, in the order in which SQLite gives them."""

    path: Path
    query: str
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    has_header: bool = True

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows. Raises ``DataError`` if the file is damaged or in use."""
        size, begun = chunk_rows(len(self.names)), 0
        with _opened(self.path) as connection:
            try:
                cursor = connection.execute(self.query)
                while rows := cursor.fetchmany(size):
                    columns = [[_text(cell) for cell in cells] for cells in zip(*rows, strict=True)]
                    numbers = range(begun + 1, begun + len(rows) + 1)
                    yield Chunk(columns=columns, numbers=numbers, file=str(self.path), unit="row")
                    begun += len(rows)
            except BROKEN as error:
                raise _broken(self.path, error) from error


def open_sqlite(path: Path, options: SqliteOptions) -> SqliteTable:
    """Open a table or query. Raises ``DataError`` that lists the tables if neither is given."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; check the path given with --data")
    with _opened(path) as connection:
        try:
            query, note = _query(connection, path, options)
            cursor = connection.execute(f"SELECT * FROM ({query}) LIMIT 0")
        except BROKEN as error:
            raise _broken(path, error) from error
        names = unique_names([description[0] for description in cursor.description or ()], str(path))
    return SqliteTable(path, query, names, note)


def _query(connection: sqlite3.Connection, path: Path, options: SqliteOptions) -> tuple[str, tuple[str, ...]]:
    if options.query and options.table:
        raise DataError(f"{path}: table= and query= exclude each other; give one of them")
    if options.query:
        return options.query.strip().rstrip(";"), ()
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name")
    tables = [str(name) for (name,) in rows if not str(name).startswith("sqlite_")]
    table = options.table or (tables[0] if len(tables) == 1 else "")
    if table not in tables:
        known = ", ".join(tables[:20]) or "none"
        raise DataError(f"{path}: say which table is meant with ?table=NAME; there are: {known}")
    quoted = table.replace('"', '""')
    return f'SELECT * FROM "{quoted}"', () if options.table else (f"table {table}",)


def _opened(path: Path) -> closing[sqlite3.Connection]:
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
    except BROKEN as error:
        raise _broken(path, error) from error
    connection.text_factory = lambda content: content.decode("utf-8", "replace")
    connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in PERMITTED else sqlite3.SQLITE_DENY)
    return closing(connection)


def _broken(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: cannot be read ({error}); check the file, and the name of the table or the query")


def _text(cell: object) -> str:
    if cell is None or isinstance(cell, bytes):
        return ""
    return f"{cell:.15g}" if isinstance(cell, float) else str(cell)[:MAX_CELL_CHARACTERS]
