"""Cuts ordered rows into windows of consecutive rows of one group: inputs (n, window, features), and their targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dslnode.data.readers.raw import check_size
from dslnode.data.schema import Schema
from dslnode.data.tables.encode import Rows
from dslnode.data.tables.row_keys import group_keys
from dslnode.data.target import Task
from dslnode.errors import DataError

MIN_GROUPS = 5
"""With so many groups, whole groups are held out; with fewer, the end of each group's time."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Windows:
    """Windows float32 (n, window, features), classes int64 (n,), values float32 (n, outputs), keys float64 (n, 2).

    The keys are those of the first and of the last row that counts for holding out.
    """

    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]
    values: NDArray[np.float32]
    keys: NDArray[np.float64]


def cut_windows(rows: Rows, schema: Schema, source: str) -> Windows:
    """Return all windows of the rows. The target of a window is that of its last row, or those that follow it.

    Raises ``DataError`` if no group is long enough for one.
    """
    series = schema.series
    assert series is not None
    order = np.lexsort((rows.times, np.array(rows.groups))) if series.time else np.argsort(rows.groups, kind="stable")
    groups = np.array(rows.groups)[order]
    starts, ends = _spans(groups)
    seen = series.window + series.horizon
    firsts = [np.arange(begin, end - seen + 1, series.stride) for begin, end in zip(starts, ends, strict=True)]
    first = np.concatenate(firsts) if firsts else np.empty(0, dtype=np.int64)
    if not len(first):
        longest = max((end - begin for begin, end in zip(starts, ends, strict=True)), default=0)
        raise DataError(
            f"{source}: a window of {series.window} rows and {series.horizon} ahead needs {seen} rows of one group,"
            f" and the longest group has {longest}; give a smaller window"
        )
    features = rows.inputs.shape[1]
    check_size((len(first), series.window, features), f"{source} (windows; a larger stride makes fewer)")
    ordered = rows.inputs[order]
    view = np.lib.stride_tricks.sliding_window_view(ordered, series.window, axis=0)
    inputs = np.ascontiguousarray(view[first].transpose(0, 2, 1))
    last = first + series.window - 1
    return Windows(
        inputs=inputs,
        labels=rows.labels[order][last],
        values=_values(rows.values[order], last, schema),
        keys=_keys(schema, groups, (starts, ends), first),
    )


def _spans(groups: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each group begins and ends, in rows that are in the order of their groups."""
    if not len(groups):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    changes = np.flatnonzero(groups[1:] != groups[:-1]) + 1
    return np.concatenate([[0], changes]), np.concatenate([changes, [len(groups)]])


def _values(values: NDArray[np.float32], last: NDArray[np.int64], schema: Schema) -> NDArray[np.float32]:
    series = schema.series
    assert series is not None
    if schema.task != Task.FORECAST:
        return values[last]
    ahead = last[:, np.newaxis] + np.arange(1, series.horizon + 1)
    steps: NDArray[np.float32] = values[ahead].transpose(0, 2, 1).reshape(len(last), -1)
    return steps


def _keys(
    schema: Schema,
    groups: NDArray[Any],
    spans: tuple[NDArray[np.int64], NDArray[np.int64]],
    first: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the keys of the first row that counts, and of the last one.

    All rows of a window count, but of a forecast only those that it foretells. Where there are enough groups they are
    held out whole. Otherwise the end of each group's time is: what was tested on may later be trained on, never the
    other way round, and a window across the border is left out.
    """
    series = schema.series
    assert series is not None
    if schema.task != Task.FORECAST and len(spans[0]) >= MIN_GROUPS:
        keys = group_keys(list(groups))[first]
        return np.stack([keys, keys], axis=1)
    row_key = np.empty(len(groups))
    for start, end in zip(*spans, strict=True):
        row_key[start:end] = 1.0 - np.arange(1, end - start + 1) / (end - start + 1)
    begin = first + series.window if schema.task == Task.FORECAST else first
    return np.stack([row_key[begin], row_key[first + series.window + series.horizon - 1]], axis=1)
