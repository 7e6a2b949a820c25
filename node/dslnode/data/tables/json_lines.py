"""Reads JSON lines (`jsonl:`): one object per line, whose names are the columns; nested objects give `outer.inner`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dslnode.data.schema import MAX_COLUMNS
from dslnode.data.spec import TaskOptions
from dslnode.data.tables.source import Chunk, chunk_rows, unique_names
from dslnode.data.tables.text_stream import TextFile, open_text
from dslnode.errors import DataError

SAMPLE_LINES = 1_000
MAX_DEPTH = 8


@dataclass(frozen=True, eq=False)
class JsonLines:
    """A file of JSON objects, one per line, whose names are known from its first lines."""

    file: TextFile
    keys: tuple[str, ...]
    names: tuple[str, ...]
    has_header: bool = True

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found out about the file, in words."""
        return self.file.notes

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows. Raises ``DataError`` that names the line."""
        rows: list[list[str]] = []
        numbers: list[int] = []
        size = chunk_rows(len(self.names))
        positions = {key: position for position, key in enumerate(self.keys)}
        for number, record, _ in _records(self.file):
            row = [""] * len(self.keys)
            for key, value in record.items():
                if key not in positions:
                    raise DataError(
                        f"{self.file.path}, line {number}: the name {key[:80]!r} is not among those of the first"
                        f" {SAMPLE_LINES} lines; add it there, as null if it has no value"
                    )
                row[positions[key]] = value
            rows.append(row)
            numbers.append(number)
            if len(rows) == size:
                yield self._chunk(rows, numbers)
                rows, numbers = [], []
        if rows:
            yield self._chunk(rows, numbers)

    def _chunk(self, rows: list[list[str]], numbers: list[int]) -> Chunk:
        return Chunk(columns=list(zip(*rows, strict=True)), numbers=numbers, file=str(self.file.path))


def open_json_lines(path: Path, options: TaskOptions) -> JsonLines:  # noqa: ARG001 (readers are called alike)
    """Find the names of a file of JSON lines. Raises ``DataError`` if it is none."""
    file = open_text(path)
    keys: dict[str, None] = {}
    for count, (_, record, _) in enumerate(_records(file)):
        keys.update(dict.fromkeys(record))
        if len(keys) > MAX_COLUMNS:
            raise DataError(f"{path}: over {MAX_COLUMNS} different names; this is no table")
        if count >= SAMPLE_LINES:
            break
    if not keys:
        raise DataError(f"{path}: no examples; it holds no JSON objects")
    return JsonLines(file, tuple(keys), unique_names(tuple(keys)))


def _records(file: TextFile) -> Iterator[tuple[int, dict[str, str], bool]]:
    """Yield line number, flat object and whether the line has an end; a last line that is cut off is left out."""
    for number, line in enumerate(file.lines(), start=1):
        if not line.strip():
            continue
        ended = line.endswith(("\n", "\r"))
        try:
            value = json.loads(line)
            if not isinstance(value, dict):
                raise ValueError(f"a line holds a {type(value).__name__}, not an object")
            record = flat_record(value)
        except (ValueError, RecursionError) as error:
            if not ended and number > 1:
                return
            raise DataError(
                f"{file.path}, line {number}: {error}; each line must be a JSON object, such as "
                '{"speed": 3.5, "state": "ok"}'
            ) from error
        yield number, record, ended


def flat_record(value: dict[str, Any]) -> dict[str, str]:
    """Return the cells of an object by column name. ``ValueError`` if it is nested too deep or is no row."""
    return dict(_flat(value, "", 0))


def _flat(value: dict[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > MAX_DEPTH:
        raise ValueError(f"objects are nested more than {MAX_DEPTH} deep")
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, dict):
            yield from _flat(item, f"{name}.", depth + 1)
        elif isinstance(item, list):
            for position, part in enumerate(item):
                if isinstance(part, list | dict):
                    raise ValueError(f"{name} holds lists or objects in a list")
                yield f"{name}.{position}", _text(part)
        else:
            yield name, _text(item)


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
