"""Reads JSON lines, or one array of objects (`jsonl:`): names are the columns; nested objects give `outer.inner`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dslnode.data.schema import MAX_COLUMNS
from dslnode.data.spec_options import TaskOptions
from dslnode.data.tables.source import Chunk, chunk_rows, unique_names
from dslnode.data.tables.text_stream import TextFile, open_text
from dslnode.errors import DataError

SAMPLE_LINES = 1_000
MAX_DEPTH = 8
MAX_ARRAY_CHARACTERS = 2**26
"""Of a file that is one array, which is read whole; lines are read one by one."""
BLANK = re.compile(r"\s*")
EXAMPLE = '{"speed": 3.5, "state": "ok"}'


@dataclass(frozen=True, eq=False)
class JsonLines:
    """A file of JSON objects, one per line or in one array, whose names are known from its first lines."""

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
        skipped, size = 0, chunk_rows(len(self.names))
        positions = {key: position for position, key in enumerate(self.keys)}
        for number, record in _records(self.file):
            if record is None:
                skipped = number
                break
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
        if skipped:
            yield Chunk(columns=[()] * len(self.names), numbers=[skipped], file=str(self.file.path), is_skipped=True)

    def _chunk(self, rows: list[list[str]], numbers: list[int]) -> Chunk:
        return Chunk(columns=list(zip(*rows, strict=True)), numbers=numbers, file=str(self.file.path))


def open_json_lines(path: Path, options: TaskOptions) -> JsonLines:  # noqa: ARG001 (readers are called alike)
    """Find the names of a file of JSON lines. Raises ``DataError`` if it is none."""
    file = open_text(path)
    keys: dict[str, None] = {}
    for count, (_, record) in enumerate(_records(file)):
        keys.update(dict.fromkeys(record or ()))
        if len(keys) > MAX_COLUMNS:
            raise DataError(f"{path}: over {MAX_COLUMNS} different names; this is no table")
        if count >= SAMPLE_LINES:
            break
    if not keys:
        raise DataError(f"{path}: no examples; it holds no JSON objects")
    return JsonLines(file, tuple(keys), unique_names(tuple(keys), str(path)))


Record = dict[str, str] | None
"""A flat object by column name; None for a last line that is cut off."""


def _records(file: TextFile) -> Iterator[tuple[int, Record]]:
    """Yield the flat objects, each with the number of the line that it begins at."""
    first = next((line for line in file.lines() if line.strip()), "")
    return _of_array(file) if first.lstrip().startswith("[") else _of_lines(file)


def _of_lines(file: TextFile) -> Iterator[tuple[int, Record]]:
    """Yield the objects of lines, and None for a last line that is cut off."""
    for number, line in enumerate(file.lines(), start=1):
        if not line.strip():
            continue
        try:
            record = _record(json.loads(line))
        except (ValueError, RecursionError) as error:
            if not line.endswith(("\n", "\r")) and number > 1:
                yield number, None
                return
            raise DataError(
                f"{file.path}, line {number}: {error}; each line must be a JSON object, such as {EXAMPLE}"
            ) from error
        yield number, record


def _of_array(file: TextFile) -> Iterator[tuple[int, Record]]:
    """Yield the objects of one array, decoded one by one."""
    text = file.text(MAX_ARRAY_CHARACTERS)
    decoder, number, counted, place = json.JSONDecoder(), 1, 0, text.index("[") + 1
    while True:
        place = _after_blanks(text, place)
        number, counted = number + text.count("\n", counted, place), place
        try:
            if text.startswith("]", place):
                return
            value, place = decoder.raw_decode(text, place)
            record = _record(value)
            place = _after_blanks(text, place)
            if text[place : place + 1] not in (",", "]"):
                raise ValueError("the array goes on with neither a comma nor its end")
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{file.path}, line {number}: {error}; the array must hold JSON objects, such as {EXAMPLE}"
            ) from error
        place += text.startswith(",", place)
        yield number, record


def _after_blanks(text: str, place: int) -> int:
    found = BLANK.match(text, place)
    return place if found is None else found.end()


def _record(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"a {type(value).__name__} stands where an object is expected")
    return flat_record(value)


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
