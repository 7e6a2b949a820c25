"""A file that says which examples each part of the data holds, so that others can rerun the same partition.

A line is a JSON object of one part: ``{"train": [...], "held_out": [...]}``. The numbers are positions from 0, in the
order in which the data set is read: ``train`` counts its training examples, ``held_out`` those of its own test part,
or its training examples, too, where it has none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dslnode.atomic_file import text_written_whole
from dslnode.data.dataset import DataSet, Examples
from dslnode.data.partition import MAX_SHARES, outlined_positions
from dslnode.errors import SettingsError
from dslnode.input_files import read_input
from dslnode.text_files import decode_text

MAX_FILE_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class PartPositions:
    """Which examples a part trains on and is measured on, int32 (n,) each; ``held_out`` may be empty."""

    train: NDArray[np.int32]
    held_out: NDArray[np.int32]


def positions_of(outline: DataSet) -> PartPositions:
    """Return the positions of a part that holds them in place of inputs (``node_part(..., positions_only=True)``)."""
    held_out = np.empty(0, np.int64) if outline.held_out is None else outlined_positions(outline.held_out)
    return PartPositions(outlined_positions(outline.train).astype(np.int32), held_out.astype(np.int32))


def write_partition(file: Path, parts: Sequence[PartPositions]) -> None:
    """Write a line for every part."""
    with text_written_whole(file) as target:
        for part in parts:
            target.write(json.dumps({"train": part.train.tolist(), "held_out": part.held_out.tolist()}) + "\n")


def read_partition(file: Path, data: DataSet) -> list[PartPositions]:
    """Return the parts in a file that ``write_partition`` wrote, of this data set.

    No part trains on what another holds out: its score would be that of examples which its neighbours have learned.
    Raises ``SettingsError`` that says which line is wrong.
    """
    lines = _lines(file)
    if not 1 <= len(lines) <= MAX_SHARES:
        raise SettingsError(f"--partition {file}: has {len(lines)} parts; 1 to {MAX_SHARES:,} are possible")
    parts = [_part(line, data, f"--partition {file}, line {number}") for number, line in enumerate(lines, start=1)]
    if data.held_out is None:
        _check_apart(file, parts, len(data.train))
    return parts


def take_part(data: DataSet, part: PartPositions) -> DataSet:
    """Return the part of a data set that has its test examples still, or all in one."""
    tested = _tested(data)
    held_out = tested.take(part.held_out.astype(np.int64)) if len(part.held_out) else None
    return replace(data, train=data.train.take(part.train.astype(np.int64)), held_out=held_out)


def _lines(file: Path) -> list[str]:
    """Return the lines of a file but for blank ones at its end."""
    try:
        return decode_text(read_input(file, MAX_FILE_BYTES)).rstrip().splitlines()
    except OSError as error:
        raise SettingsError(f"--partition {file}: cannot be read ({error.strerror}); check the path") from error
    except ValueError as error:
        raise SettingsError(f"--partition {file}: {error}") from error


def _check_apart(file: Path, parts: Sequence[PartPositions], count: int) -> None:
    """Refuse a part that trains on what another part of a data set of ``count`` examples is measured on."""
    holder = np.zeros(count, np.int32)  # the line that holds each example out; 0 for none
    for number, part in enumerate(parts, start=1):
        holder[part.held_out] = number
    for number, part in enumerate(parts, start=1):
        shared = part.train[holder[part.train] > 0]
        if len(shared):
            raise SettingsError(
                f"--partition {file}, line {number}: trains on example {shared[0]}, which line {holder[shared[0]]} "
                "holds out; give each example only one use"
            )


def _part(line: str, data: DataSet, place: str) -> PartPositions:
    try:
        found = json.loads(line, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{place}: is no JSON object ({error})") from error
    if not isinstance(found, dict) or set(found) != {"train", "held_out"}:
        raise SettingsError(f'{place}: is not of the form {{"train": [...], "held_out": [...]}}')
    train = _checked(found["train"], len(data.train), f"{place}, train")
    held_out = _checked(found["held_out"], len(_tested(data)), f"{place}, held_out")
    if not len(train):
        raise SettingsError(f"{place}: has nothing to train on; give each part one example at least")
    if data.held_out is None and len(np.intersect1d(train, held_out)):
        raise SettingsError(f"{place}: trains on examples that it is measured on; give each only one use")
    return PartPositions(train, held_out)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object. Raises ``ValueError`` if it has a key twice: which one counts, readers do not agree on."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it has a key twice")
    return found


def _checked(found: Any, count: int, place: str) -> NDArray[np.int32]:
    whole = isinstance(found, list) and all(type(each) is int and 0 <= each < count for each in found)
    if not whole or len(set(found)) != len(found):
        raise SettingsError(f"{place}: is no list of different positions from 0 to {count - 1}; is it of other data?")
    return np.array(found, dtype=np.int32)


def _tested(data: DataSet) -> Examples:
    return data.train if data.held_out is None else data.held_out
