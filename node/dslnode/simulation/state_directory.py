"""The files that a simulation saves below ``state``, and which of them are its own: no other file is ever removed.

``complete.json`` says which simulation it is, and what it had recorded by the newest round that all nodes have saved;
without records, there is no such round yet. ``round-N/I.npz`` is what node I had learned after round N. ``ended`` is
there once a simulation has run to its end.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from dslnode.atomic_file import replace_file
from dslnode.input_files import read_input
from dslnode.simulation.records import RoundRecord

MAX_FILE_BYTES = 4 << 30
COMPLETE = "complete.json"
ENDED = "ended"
READABLE_BY_ALL = 0o644


@dataclass(frozen=True)
class SavedRecords:
    """What ``complete.json`` says: which simulation it is of, and its records up to the newest complete round."""

    identity: str
    records: list[RoundRecord]

    @property
    def round(self) -> int:
        """The newest complete round; 0 if there is none yet."""
        return self.records[-1].round if self.records else 0


def read_saved(directory: Path) -> SavedRecords:
    """Return what ``complete.json`` says.

    Raises ``FileNotFoundError`` if there is none, another ``OSError``, or ``ValueError`` if it is of another form.
    """
    content = json.loads(read_input(directory / COMPLETE, MAX_FILE_BYTES))
    try:
        identity, rows = content["identity"], content["records"]
        records = [RoundRecord(**row) for row in rows]
    except (KeyError, TypeError) as error:
        raise ValueError(f"another form: {error}") from error
    if not isinstance(identity, str):
        raise ValueError("another form: the identity is no text")
    return SavedRecords(identity, records)


def write_saved(directory: Path, saved: SavedRecords) -> None:
    """Write ``complete.json``, whole or not at all. Raises ``OSError``."""
    content = {"identity": saved.identity, "records": [asdict(record) for record in saved.records]}
    replace_file(directory / COMPLETE, json.dumps(content).encode(), mode=READABLE_BY_ALL)


def round_directory(directory: Path, number: int) -> Path:
    """Return where nodes save what they have learned after a round."""
    return directory / f"round-{number}"


def saved_rounds(directory: Path) -> list[int]:
    """Return the rounds that any node has saved, in order."""
    found = [re.fullmatch(r"round-([0-9]{1,9})", place.name) for place in directory.iterdir() if place.is_dir()]
    return sorted(int(match[1]) for match in found if match is not None)


def remove_round(directory: Path, number: int) -> None:
    """Remove what nodes have saved after a round; other files stay, and then so does its directory."""
    place = round_directory(directory, number)
    others = False
    for file in list(place.iterdir()):
        if re.fullmatch(r"[0-9]{1,9}\.npz", file.name):
            file.unlink()
        else:
            others = True
    if not others:
        place.rmdir()
