"""Looks at a file without learning from it: makes its schema, and says what does not fit one."""

from __future__ import annotations

from collections.abc import Iterator

from dslnode.data.dataset import TABLES, load_data_set
from dslnode.data.schema import Schema
from dslnode.data.spec import kind_of, parse_spec
from dslnode.errors import DataError


def describe_data(spec: str, task: str = "") -> tuple[Schema, tuple[str, ...]]:
    """Return the schema of what ``--data`` names, and what was found out, in words. Raises ``DataError``."""
    if kind_of(spec) in TABLES:
        from dslnode.data.tables.load import describe_table

        schema, _, notes = describe_table(parse_spec(spec), task=task)
        return schema, notes
    data = load_data_set(spec)
    if data.schema is None:
        raise DataError(f"--data {spec}: needs no schema; nodes compare its shape and the number of classes")
    return data.schema, data.notes


def check_data(spec: str, schema: Schema) -> Iterator[str]:
    """Yield what of a file does not fit a schema, one line each. Raises ``DataError`` if it cannot be read."""
    if kind_of(spec) in TABLES:
        from dslnode.data.tables.check import problems
        from dslnode.data.tables.load import open_table

        yield from problems(open_table(parse_spec(spec)), schema)
        return
    yield from load_data_set(spec, schema=schema).notes
