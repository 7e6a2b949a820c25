"""The directory of a grid of simulations: which grid it is of, and what came of those of its simulations that are done.

``grid.csv`` has a row for each that is done. ``grid.json`` says which grid that is, and how many there are to be: with
other settings, its rows would be means of different things.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any

from dslnode.config.settings import Settings
from dslnode.errors import SettingsError, StateError
from dslnode.input_files import read_input
from dslnode.simulation.grid import OPTION_FIELDS, Combination, Outcome
from dslnode.simulation.report.report import write
from dslnode.simulation.simulated_settings import NOT_SIMULATED
from dslnode.simulation.simulation import SimulationOptions

Found = list[tuple[Combination, Outcome]]
GRID_FILES = ("grid.csv", "grid.json", "grid.html")
MAX_FILE_BYTES = 64 << 20
MAX_NAME = 150
"""Characters of a directory's name that come from values."""
FILES = ("partition", "topology")
"""Options that may name a file: what is in it counts, not where it is."""


def grid_identity(settings: Settings, options: SimulationOptions, names: Sequence[str], *, like: bool) -> str:
    """Return a digest that is equal for grids over the same axes that have all else in common, too.

    ``names`` are those of the axes; their values may be others. ``like`` is whether a running network is asked.
    """
    fields = {OPTION_FIELDS.get(name, name) for name in names}
    given: dict[str, Any] = {name: value for name, value in asdict(options).items() if name not in fields}
    given |= {name: _content(given[name]) for name in FILES if name in given}
    chosen = settings.model_dump(mode="json", exclude={*NOT_SIMULATED, *names})
    facts = json.dumps([chosen, given, sorted(names), like], sort_keys=True)
    return hashlib.blake2b(facts.encode(), digest_size=16).hexdigest()


def run_name(combination: Combination) -> str:
    """Return the name of a run's directory: its values, and a digest where they are not fit for a file's name."""
    values = ",".join(f"{name}={value}" for name, value in combination.items())
    name = re.sub(r"[^A-Za-z0-9._=,-]", "_", values)[:MAX_NAME]
    return name if name == values else f"{name}-{hashlib.blake2b(values.encode(), digest_size=4).hexdigest()}"


def check_no_grid(directory: Path) -> None:
    """Raise ``SettingsError`` if a grid stands here of which some simulations are done, and not all."""
    GridDirectory(directory, "", ()).check_free()


class GridDirectory:
    """The directory of a grid with this identity, over axes of these ``names``."""

    def __init__(self, directory: Path, identity: str, names: Sequence[str]) -> None:
        self.table = directory / "grid.csv"
        self._facts = directory / "grid.json"
        self._identity = identity
        self._names = list(names)

    def check_free(self) -> None:
        """Raise ``SettingsError`` if a grid stands here of which some simulations are done, and not all."""
        try:
            _, simulations = self._read_facts()
            done = len(_read_rows(self.table))
        except (OSError, ValueError):
            return
        if 0 < done < simulations:
            raise SettingsError(
                f"--report {self.table.parent}: has an unfinished grid, with {done} of {simulations} simulations done; "
                f"add --resume to go on with it, name another --report, or delete {self._facts} to begin anew"
            )

    def read(self) -> Found:
        """Return what is done of this grid. Raises ``StateError`` if another one stands here."""
        if not self.table.exists():
            return []
        try:
            identity, _ = self._read_facts()
            if identity != self._identity:
                raise ValueError("its settings, options or axes were others")
            return [({name: row[name] for name in self._names}, _outcome(row)) for row in _read_rows(self.table)]
        except (OSError, ValueError, KeyError) as error:
            raise StateError(
                f"{self.table}: is not of this grid ({error}); repeat its options, or leave --resume out and name "
                "another --report"
            ) from error

    def begin(self, simulations: int, found: Found) -> None:
        """Write which grid this is, how many simulations there are to be, and what is done.

        Raises ``SettingsError`` if the directory cannot be written.
        """
        content = {"identity": self._identity, "simulations": simulations}
        write(self._facts, json.dumps(content))
        self.write(found)

    def write(self, found: Found) -> None:
        """Write a row for every simulation that is done: the values of its axes, and what came of it.

        Raises ``SettingsError`` if the file cannot be written.
        """
        target = StringIO(newline="")
        writer = csv.DictWriter(target, [*self._names, *Outcome.__dataclass_fields__])
        writer.writeheader()
        writer.writerows({**combination, **asdict(each)} for combination, each in found)
        write(self.table, target.getvalue())

    def _read_facts(self) -> tuple[str, int]:
        """Return identity and number of simulations. Raises ``OSError`` or ``ValueError``."""
        content = json.loads(_text(self._facts))
        try:
            return str(content["identity"]), int(content["simulations"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"{self._facts.name} is of another form: {error}") from error


def _read_rows(file: Path) -> list[dict[str, str]]:
    """Return the rows of a table, each of them whole. Raises ``OSError`` or ``ValueError``."""
    try:
        rows: list[dict[str, str]] = list(csv.DictReader(StringIO(_text(file), newline=""), strict=True))
    except csv.Error as error:
        raise ValueError(str(error)) from error
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise ValueError(f"row {number} has more or fewer values than there are columns")
    return rows


def _text(file: Path) -> str:
    return read_input(file, MAX_FILE_BYTES).decode()


def _content(name: str) -> str:
    """Return a digest of the file that an option names; its value if it names none."""
    file = Path(name)
    if not name or not file.is_file():
        return name
    with file.open("rb") as content:
        return hashlib.file_digest(content, "blake2b").hexdigest()


def _outcome(row: dict[str, str]) -> Outcome:
    return Outcome(
        rounds=float(row["rounds"]),
        mean_score=float(row["mean_score"]) if row["mean_score"] else None,
        worst_score=float(row["worst_score"]) if row["worst_score"] else None,
        payload_bits=float(row["payload_bits"]),
        wire_bytes=float(row["wire_bytes"]),
        seconds=float(row["seconds"]),
        score_name=row.get("score_name", ""),
    )
