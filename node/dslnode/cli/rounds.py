"""The saved states and best models of a node, and going back to one: ``dslnode rounds`` and ``dslnode rollback``."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dslnode.cli.formatting import si_amount
from dslnode.cli.status import printable
from dslnode.errors import StateError
from dslnode.runtime.checkpoint import Generation, StateDirectory
from dslnode.telemetry.score_status import score_text


def show_rounds(directory: Path, *, as_json: bool) -> None:
    """Print what is saved there. Raises ``StateError`` if nothing is."""
    generations = StateDirectory(directory).generations()
    if not generations:
        raise StateError(f"{directory}: holds no saved state; give the --state-dir of a node that has finished a round")
    if as_json:
        print(json.dumps([_as_dict(each) for each in generations], indent=2))
        return
    Console().print(as_table(generations))


def as_table(generations: list[Generation]) -> Table:
    """Return one row per saved state or best model."""
    table = Table(box=None, pad_edge=False)
    for column in ("file", "round", "score", "saved", "size"):
        table.add_column(column, justify="left" if column == "file" else "right")
    for each in generations:
        saved = datetime.fromtimestamp(each.saved).astimezone().isoformat(" ", "seconds")
        if each.metadata is None:
            table.add_row(each.name, "damaged", "", saved, si_amount(each.size))
            continue
        name, score = each.metadata.score_name, each.metadata.score
        text = "-" if score is None else f"{name} {score_text(name, score)}"
        table.add_row(each.name, str(each.metadata.round), printable(text), saved, si_amount(each.size))
    return table


def roll_back(directory: Path, name: str) -> str:
    """Make a saved generation the state that the node goes on from; return a line that says so.

    Raises ``StateError`` if there is none of this name, it is damaged, or a node runs on the directory.
    """
    state = StateDirectory(directory)
    if not state.generations():
        raise StateError(f"{directory}: holds no saved state; give the --state-dir of a node that has finished a round")
    with state.owned():
        metadata = state.roll_back(name)
    return f"{directory}: the node goes on from {name}, round {metadata.round}; the state before is state.old"


def _as_dict(generation: Generation) -> dict[str, Any]:
    metadata, fields = generation.metadata, asdict(generation)
    fields.pop("metadata")
    known: dict[str, Any] = {"round": None, "score": None, "score_name": None}
    if metadata is not None:
        known = {"round": metadata.round, "score": metadata.score, "score_name": metadata.score_name}
    return {**fields, **known}
