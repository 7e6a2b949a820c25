"""The table that is kept with the code: rows of finished runs take the place of former ones of the same methods."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.accuracy.run import Record

DIGITS = {"accuracy": 1, "worst_node": 1, "validation": 1}
SIGNIFICANT = ("payload_bits", "raw_bits", "nominal_bits", "payload_bits_a_weight")
LEFT_OUT = ("seconds", "bits_to_match_ours")
"""Times of this machine, and what compares rows of one command."""


def take_rows(file: Path, rows: Sequence[Record]) -> None:
    """Put rows in the place of those of the same case, model and method; new ones follow the last row of their case.

    All else in the file stays.
    """
    stored: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    for row in rows:
        _put(stored["rows"], rounded(row))
    file.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def rounded(row: Record) -> Record:
    """Return the row with the digits that a table of three seeds is good for."""
    found = {key: value for key, value in row.items() if key not in LEFT_OUT and value is not None}
    for key, digits in DIGITS.items():
        found[key] = round(found[key], digits)
    return found | {key: float(f"{found[key]:.4g}") for key in SIGNIFICANT if key in found}


def _put(rows: list[Record], row: Record) -> None:
    of_case = [place for place, other in enumerate(rows) if other["case"] == row["case"]]
    same = [place for place in of_case if all(rows[place][key] == row[key] for key in ("method", "model"))]
    if same:
        rows[same[0]] = row
    else:
        rows.insert(of_case[-1] + 1 if of_case else len(rows), row)
