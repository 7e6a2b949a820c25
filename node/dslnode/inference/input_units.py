"""The units in which rows of tables and arrays are measured, and how they become the inputs that a model sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dslnode.inference.model_header import Description

if TYPE_CHECKING:
    from dslnode.data.schema import Column, Schema

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class InputUnits:
    """Centres and scales of the last dimension, float32 (features,) each: 0 and 1 for what is no number."""

    centre: Array
    scale: Array

    def raw(self, inputs: Array) -> Array:
        """Return encoded inputs (n, ..., features) in the units of their columns."""
        return inputs * self.scale + self.centre


def input_units(description: Description) -> InputUnits | None:
    """Return the units of what a model sees scaled by feature; None where inputs are divided at most."""
    scaling = description.input_scaling
    if scaling is not None and scaling.scale:
        centre, scale = (np.array(values, np.float32) for values in (scaling.centre, scaling.scale))
        return InputUnits(centre=centre, scale=scale)
    return _table_units(description)


def as_measured(description: Description, rows: Array) -> Array:
    """Return rows (n, *input_shape), as `read_examples` gives them, in the units of their columns or arrays."""
    units = _table_units(description)  # arrays come as they were measured
    return rows if units is None else units.raw(rows)


def _table_units(description: Description) -> InputUnits | None:
    schema = description.data_schema
    if schema is None or not schema.columns:
        return None
    pairs = np.array([pair for column in schema.inputs for pair in _pairs(column)], np.float32).reshape(-1, 2)
    return InputUnits(centre=pairs[:, 0].copy(), scale=pairs[:, 1].copy()) if _fits(schema, description) else None


def _pairs(column: Column) -> list[tuple[float, float]]:
    """Return centre and scale of each input of a column."""
    pairs = [(0.0, 1.0) for _ in column.input_names]
    if column.kind == "number":
        pairs[0] = (column.centre or 0.0, column.scale or 1.0)
    return pairs


def _fits(schema: Schema, description: Description) -> bool:
    return description.input_shape[-1] == len(schema.input_names)
