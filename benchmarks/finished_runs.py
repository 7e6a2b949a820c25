"""Finished runs on disk, one JSON line each: an interrupted benchmark goes on where it was.

A run is known again by its own values alone. After a change of code that changes results, remove the file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.report import Row


class FinishedRuns:
    """What was measured, by run; without a path, nothing is kept beyond this process.

    A line that an interruption cut off is passed over.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._measured: dict[str, Row] = {}
        for line in [] if path is None or not path.exists() else path.read_text(encoding="utf-8").splitlines():
            found = _parsed(line)
            if found is not None:
                self._measured[_key(found["run"])] = found["measured"]

    def find(self, run: Mapping[str, Any]) -> Row | None:
        """Return what was measured of a run, if it is finished."""
        return self._measured.get(_key(run))

    def add(self, run: Mapping[str, Any], measured: Row) -> None:
        """Keep what was measured of a run."""
        self._measured[_key(run)] = measured
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write("\n" * _ends_cut_off(self._path) + json.dumps({"run": run, "measured": measured}) + "\n")

    def of(self, run: Mapping[str, Any], measure: Callable[[], Row]) -> Row:
        """Return what was measured of a run; measure it first if it is not finished."""
        found = self.find(run)
        if found is None:
            found = measure()
            self.add(run, found)
        return found


def add_results_option(parser: argparse.ArgumentParser, name: str) -> None:
    """Add ``--results FILE``, ``build/NAME.jsonl`` by default."""
    parser.add_argument("--results", type=Path, metavar="FILE", default=Path("build", f"{name}.jsonl"),
                        help="finished runs, which are not run again (default: %(default)s)")  # fmt: skip


def _key(run: Mapping[str, Any]) -> str:
    return json.dumps(run, sort_keys=True)


def _parsed(line: str) -> Row | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.keys() >= {"run", "measured"} else None


def _ends_cut_off(path: Path) -> bool:
    text = path.read_bytes()
    return bool(text) and not text.endswith(b"\n")
