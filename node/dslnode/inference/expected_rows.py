"""What rows a model expects: columns, units, kinds, what may be missing, and a row as an example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dslnode.inference.answers import output_names
from dslnode.inference.model_header import Description
from dslnode.inference.rows import without_targets

if TYPE_CHECKING:
    from dslnode.data.schema import Column, Schema

MISSING = {
    "indicator": "counts as the centre, and the model sees that it is missing",
    "median": "counts as the centre",
    "drop": "the row is not answered",
}
TIME_EXAMPLES = {"iso": "2026-01-31T12:00:00", "epoch": "1769860800"}
MOST_NAMED = 12
"""So many categories are listed."""


@dataclass(frozen=True, kw_only=True)
class ExpectedColumn:
    """A column of a table: ``kind`` and ``values`` say what its cells are, ``missing`` what becomes of empty ones."""

    name: str
    kind: str
    unit: str
    values: str
    missing: str
    example: str


@dataclass(frozen=True, kw_only=True)
class ExpectedInput:
    """What a model expects: columns of a table, or none for arrays, images and sounds; and what it answers with."""

    task: str
    about: str
    columns: tuple[ExpectedColumn, ...]
    outputs: tuple[str, ...]

    @property
    def example(self) -> Mapping[str, str]:
        """One row, as cells by column."""
        return {column.name: column.example for column in self.columns}


def expected_input(description: Description) -> ExpectedInput:
    """Return what the model expects. Raises ``ModelError`` for a schema that makes no sense."""
    schema = description.data_schema
    columns = () if schema is None else tuple(map(_column, without_targets(schema).columns))
    units = (*description.units, *[""] * description.outputs)
    names = output_names(description)
    outputs = tuple(f"{name} ({unit})" if unit else name for name, unit in zip(names, units, strict=False))
    return ExpectedInput(
        task=description.task, about=_about(description, schema), columns=columns, outputs=_shortened(outputs)
    )


def _about(description: Description, schema: Schema | None) -> str:
    """Return in a sentence what an example is."""
    of_schema = "" if schema is None else _about_schema(schema)
    if of_schema:
        return of_schema
    numbers = "as the model was given them in training"
    if description.input_scaling is not None:
        numbers = "in the units of the training data"
    elif description.full_scale != 1:
        numbers = f"from 0 to {description.full_scale:g}"
    return f"arrays of the shape {'x'.join(map(str, description.input_shape))} per example, of numbers {numbers}"


def _about_schema(schema: Schema) -> str:
    """Return what an example of a schema is; nothing for one that only names classes."""
    if schema.series is not None:
        series = schema.series
        group = f" of one {series.group}" if series.group else ""
        order = f" in the order of {series.time}" if series.time else " in the order of the file"
        return f"windows of {series.window} rows{group},{order}"
    if schema.columns:
        return "rows of a table, with these columns by name in any order; others are passed over"
    if schema.image is not None:
        return f"images, brought to {schema.image.width}x{schema.image.height} pixels, {schema.image.mode}"
    if schema.audio is not None:
        return f"sounds, brought to {schema.audio.seconds:g} s of {schema.audio.rate} samples per second"
    return ""


def _column(column: Column) -> ExpectedColumn:
    missing = MISSING[column.missing]
    if column.marks:
        missing += f"; missing is also {', '.join(map(repr, column.marks))}"
    return ExpectedColumn(
        name=column.name,
        kind=column.kind.value,
        unit=column.unit,
        values=_values(column),
        missing=missing,
        example=_example(column),
    )


def _values(column: Column) -> str:
    if column.categories:
        return " or ".join(_shortened(tuple(map(repr, column.categories))))
    if column.kind == "timestamp":
        return {"iso": "ISO 8601", "epoch": "seconds since 1970"}.get(column.format, column.format)
    if column.low is not None and column.high is not None:
        return f"{column.low:g} to {column.high:g} in training"
    return "any"


def _example(column: Column) -> str:
    if column.categories:
        return column.categories[-1]
    if column.kind == "timestamp":
        from datetime import UTC, datetime

        return TIME_EXAMPLES.get(column.format) or datetime(2026, 1, 31, 12, tzinfo=UTC).strftime(column.format)
    if column.kind == "number":
        return f"{column.centre or 0:g}"
    return "1"


def _shortened(names: tuple[str, ...]) -> tuple[str, ...]:
    more = len(names) - MOST_NAMED
    return names if more <= 0 else (*names[:MOST_NAMED], f"{more} more")
