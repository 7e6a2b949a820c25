"""The network that a simulation is like, as a file in its report: to go on with, since its nodes report other seconds
per round each time that they are asked.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from dslnode.atomic_file import write_outputs
from dslnode.config.quantities import parse_cap
from dslnode.errors import SettingsError, StateError
from dslnode.input_files import read_input
from dslnode.simulation.graph import edges_of, from_edges
from dslnode.simulation.likeness import Likeness

LIKENESS_FILE = "likeness.json"
MAX_FILE_BYTES = 64 << 20


def write_likeness(directory: Path, likeness: Likeness) -> None:
    """Write what a network reported into the directory of a report. Raises ``SettingsError`` if that cannot be."""
    try:
        write_outputs({directory / LIKENESS_FILE: (json.dumps(asdict(likeness)) + "\n").encode()})
    except OSError as error:
        raise SettingsError(f"--report {directory}: cannot be written ({error.strerror}); name another one") from error


def read_likeness(file: Path, address: str) -> Likeness:
    """Return what the network at an address reported when a simulation began.

    Raises ``StateError`` if the file cannot be read, ``SettingsError`` if another address was asked.
    """
    try:
        found = _checked(json.loads(read_input(file, MAX_FILE_BYTES)))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else error
        raise StateError(f"{file}: cannot be read ({reason}); leave --resume out to ask the network again") from error
    if found.address != address:
        raise SettingsError(f"--like {address}: {file} has what {found.address} reported; give that, or no --resume")
    return found


def _checked(content: Any) -> Likeness:
    """Return the likeness of a file's content. Raises ``ValueError`` if it is none."""
    found = TypeAdapter(Likeness).validate_python(content)
    count = len(found.neighbours)
    if not count or {len(found.keep_ratios), len(found.round_seconds)} != {count}:
        raise ValueError("its nodes are not as many in all lists")
    if not all(0 <= peer < count and peer != node for node, peers in enumerate(found.neighbours) for peer in peers):
        raise ValueError("it has links to nodes that there are not")
    if from_edges(count, edges_of(found.neighbours)) != found.neighbours:
        raise ValueError("its links are not the same seen from both ends")
    if not all(0 < ratio <= 1 for ratio in found.keep_ratios) or not all(
        0 < seconds < float("inf") for seconds in found.round_seconds
    ):
        raise ValueError("a keep ratio or the seconds of a round cannot be")
    if found.data_cap:
        parse_cap(found.data_cap)
    return found
