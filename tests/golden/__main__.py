"""Writes what the cases give now: ``python -m tests.golden FILE``. To the bit the same on one processor and torch."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.golden.scenarios import machine, run_all

if __name__ == "__main__":
    results = {"machine": machine(), **run_all()}
    Path(sys.argv[1]).write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
