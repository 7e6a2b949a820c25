"""Loads the part of a data set that one node holds, in about the memory of that part.

The rows of a table are looked at without their inputs first; then only those that the node keeps are encoded.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dslnode.data.dataset import TABLES, DataSet, load_data_set, table_data_set
from dslnode.data.partition import PartitionSpec, node_part, outlined_positions
from dslnode.data.schema import Schema
from dslnode.data.spec import kind_of, parse_spec


def load_node_part(
    spec: str,
    part: PartitionSpec,
    *,
    held_out_fraction: float,
    class_count: int | None = None,
    schema: Schema | None = None,
    task: str = "",
) -> DataSet:
    """Return what ``load_data_set`` and then ``node_part`` return. Raises as they do."""
    keeps_all = part.share is None and part.classes is None and part.samples_per_class is None
    if kind_of(spec) not in TABLES or keeps_all:
        return node_part(load_data_set(spec, class_count, schema=schema, task=task), held_out_fraction, part)
    from dslnode.data.tables.load import prepare_table

    table = prepare_table(parse_spec(spec), schema, task=task, class_count=class_count)
    if table.schema.series is not None:  # windows overlap: their rows are held whole
        return node_part(table_data_set(table.load(), spec), held_out_fraction, part)
    outline = table_data_set(table.outline(), spec)
    chosen = node_part(outline, held_out_fraction, part, positions_only=True)
    train = outlined_positions(chosen.train)
    held_out = None if chosen.held_out is None else outlined_positions(chosen.held_out)
    mask = np.zeros(len(outline.train), dtype=bool)
    mask[train] = True
    if held_out is not None:
        mask[held_out] = True
    mine = table_data_set(table.load(mask), spec)
    places = np.cumsum(mask) - 1
    return replace(
        mine,
        train=mine.train.take(places[train]),
        held_out=None if held_out is None else mine.train.take(places[held_out]),
    )
