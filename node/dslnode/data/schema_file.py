"""Writes a schema as a commented TOML file, and reads one back; errors name the line."""

from __future__ import annotations

import re
import textwrap
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from dslnode.data.schema import Column, Schema
from dslnode.errors import DataError
from dslnode.input_files import read_input
from dslnode.text_files import decode_text

MAX_FILE_BYTES = 2**24
WIDTH = 110
EXPLAINED = {
    "task": "classification, regression, multilabel, forecast or anomaly.",
    "target": "The columns that are to be foretold.",
    "classes": "Names of the classes, in the order of their numbers. A node may lack some of them in its own data.",
    "scaling": "run: all nodes scale numbers by the centres and scales below. local: each takes those of its own data.",
}
"""What stands above a line of the schema itself."""
COLUMN_HELP = """\
Columns, in the order of the inputs. kind is number, flag, category, timestamp, label (a target of classes) or ignored.
low and high are the range that was seen, empty is the number of cells without a value: both are for people alone.
missing says what becomes of such cells: indicator (the centre, and one more input that says so), median (the centre),
or drop (the row is left out). marks are texts that stand for them."""


def schema_text(schema: Schema, *, source: str = "", notes: Iterable[str] = ()) -> str:
    """Return the file that ``read_schema`` reads back; ``source`` and ``notes`` become comments at its top."""
    about = f" of {source}" if source else ""
    head = [
        f"Data schema{about}, as `dslnode data describe` found it. Nodes of a run that are started with --schema and"
        " this file read their data alike. Change what is wrong, then: dslnode data check FILE --schema THIS-FILE",
        *notes,
    ]
    lines = [line for text in head for line in _comment(text)]
    for name, meaning in EXPLAINED.items():
        value = getattr(schema, name)
        if value:
            lines += ["", *_comment(meaning), f"{name} = {_literal(value)}"]
    for name in ("series", "image", "audio"):
        part = getattr(schema, name)
        if part is not None:
            lines += ["", f"[{name}]", *_entries(part)]
    if schema.columns:
        lines += ["", *(f"# {line}" for line in COLUMN_HELP.splitlines())]
    for column in schema.columns:
        lines += ["", "[[columns]]", *_entries(column)]
    return "\n".join([*lines, ""])


def _comment(text: str) -> list[str]:
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return textwrap.wrap(plain, WIDTH, initial_indent="# ", subsequent_indent="# ")


def _entries(part: BaseModel) -> list[str]:
    """Return the lines of a table: what must be there, and what is not as it is by default."""
    fields = type(part).model_fields
    values = {name: getattr(part, name) for name in fields}
    shown = {
        name: value for name, value in values.items() if fields[name].is_required() or value != fields[name].default
    }
    if isinstance(part, Column) and part.empty:
        shown["missing"] = part.missing
    return [f"{name} = {_literal(shown[name])}" for name in fields if name in shown]


def _literal(value: object) -> str:
    import tomlkit

    return tomlkit.item(list(map(str, value)) if isinstance(value, tuple) else value).as_string()


def read_schema(given: str) -> Schema:
    """Return the schema in a file, or in a text of several lines, as tickets have it.

    Raises ``DataError`` that names file and line.
    """
    source, text = ("the schema of the ticket", given) if "\n" in given else (given, _file_text(Path(given)))
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # bad syntax, endless digits; endless brackets
        raise DataError(
            f"{source}: is not TOML: {error}; fix it there, or make the schema again with `dslnode data describe`"
        ) from error
    try:
        return Schema.model_validate(table)
    except ValidationError as error:
        raise DataError(_explain(error, source, text)) from error


def schema_file_text(file: Path) -> str:
    """Return the text of a schema file, after a check that it is one. Raises ``DataError``."""
    read_schema(str(file))
    return _file_text(file)


def _file_text(file: Path) -> str:
    try:
        content = read_input(file, MAX_FILE_BYTES)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); give the file of a schema to --schema") from error
    try:
        return decode_text(content)
    except ValueError as error:
        raise DataError(f"{file}: {error}") from error


def _explain(error: ValidationError, source: str, text: str) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    place = [part for part in problem["loc"] if part != "__root__"]
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        known = ", ".join(_fields_at(place))
        message = f"there is no such line in a schema; there are: {known}"
    if problem["type"] == "missing":
        message = "is missing; add this line"
    name = ".".join(str(part + 1) if isinstance(part, int) else part for part in place)
    line = _line_of(text, place)
    where = f", line {line}" if line else ""
    return f"{source}{where}: {name + ': ' if name else ''}{message}"


def _fields_at(place: Sequence[Any]) -> Iterable[str]:
    parts = {"columns": Column, **{name: Schema.model_fields[name].annotation for name in ("series", "image", "audio")}}
    part = parts.get(place[0]) if len(place) > 1 else Schema
    arguments = getattr(part, "__args__", None)
    model = arguments[0] if arguments else part
    return getattr(model, "model_fields", {})


def _line_of(text: str, place: Sequence[Any]) -> int:
    """Return the number of the line where a value is, or of its table if the value is missing; 0 if that is unclear."""
    heading, names = "", [part for part in place if isinstance(part, str)]
    index = next((part for part in place if isinstance(part, int)), 0)
    seen, found = 0, 0
    for number, line in enumerate(text.splitlines(), start=1):
        plain = line.strip()
        if plain.startswith("["):
            heading = plain.partition("#")[0].strip().strip("[]").strip()
            seen += heading == "columns"
            if len(names) > 1 and heading == names[0] and (heading != "columns" or seen == index + 1):
                found = number
        is_here = heading == (names[0] if len(names) > 1 else "") and (heading != "columns" or seen == index + 1)
        if names and is_here and re.match(rf"[\"']?{re.escape(names[-1])}[\"']?\s*=", plain):
            return number
    return found
