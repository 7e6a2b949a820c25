"""Shared by all benchmarks: arguments, interleaved timing, the table for people and the JSON for machines."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any

Row = dict[str, Any]
FILES = ("--json", "--results", "--into")


@dataclass(frozen=True)
class Column:
    """One column of the table: the key in the row, the heading, and how to format the value."""

    key: str
    heading: str
    form: str = ""


@dataclass
class Report:
    """Results of a benchmark: one row per case, and a summary with the goals."""

    rows: list[Row] = field(default_factory=list)
    summary: Row = field(default_factory=dict)


def arguments(doc: str, *flags: tuple[str, str]) -> argparse.Namespace:
    """Read ``--quick``, ``--json FILE`` and the benchmark's own flags; let SIGTERM clean up like an error.

    ``flags`` are pairs of option name and help.
    """
    parser = argument_parser(doc)
    for name, text in flags:
        parser.add_argument(name, action="store_true", help=text)
    return parser.parse_args()


def argument_parser(doc: str) -> argparse.ArgumentParser:
    """Return a parser of ``--quick`` and ``--json FILE`` that takes more options; SIGTERM then ends like an error."""
    signal.signal(signal.SIGTERM, _leave)
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer cases and repetitions: a few minutes at most")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows, summary and machine facts as JSON")
    return parser


def interleaved(variants: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, list[float]]:
    """Return the seconds of each repetition of each variant, run in turn (A B A B ...) after one unmeasured turn.

    Other load of the machine then affects all variants equally.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for repetition in range(-1, repetitions):
        for name, run in variants.items():
            began = time.perf_counter()
            run()
            if repetition >= 0:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios within each turn: steadier on a shared machine than the medians' ratio."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def publish(title: str, columns: Sequence[Column], report: Report, json_file: Path | None) -> None:
    """Print the table and the summary, and write the JSON if a file is given."""
    print_table(title, columns, report.rows)
    for key, value in report.summary.items():
        print(f"{key.replace('_', ' ')}: {format(value, '.3g') if isinstance(value, float) else value}")
    if json_file is not None:
        origin = {"benchmark": command_line(), "measured_on": today(), "commit": commit()}
        content = {**origin, "summary": report.summary, "machine": machine(), "rows": report.rows}
        json_file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def command_line() -> str:
    """Return the command that runs this benchmark again: ``python -m benchmarks.NAME`` and its options."""
    spec = sys.modules["__main__"].__spec__
    name = f"-m {spec.name.removesuffix('.__main__')}" if spec is not None else sys.argv[0]
    return shlex.join(["python", *name.split(), *without_files(sys.argv[1:])])


def today() -> str:
    """Return the date, as 2026-11-30, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def commit() -> str:
    """Return the commit of the code that measures, with ``-dirty`` if files differ from it; empty without git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def without_files(given: Sequence[str]) -> list[str]:
    """Return the options without ``--json FILE`` and the like, which change no figure."""
    after = [None, *given]
    pairs = zip(after, given, strict=False)
    return [option for former, option in pairs if former not in FILES and not option.startswith(FILES)]


def print_table(title: str, columns: Sequence[Column], rows: Sequence[Row]) -> None:
    """Print rows as a Markdown table, ready for the README."""
    print(f"\n{title}\n")
    if not rows:
        return
    cells = [[column.heading for column in columns]]
    cells += [[_cell(row.get(column.key), column.form) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    numeric = [not isinstance(rows[0].get(column.key), str) for column in columns]
    cells.insert(1, ["-" * (w - 1) + ":" if n else "-" * w for w, n in zip(widths, numeric, strict=True)])
    for line in cells:
        aligned = [c.rjust(w) if n else c.ljust(w) for c, w, n in zip(line, widths, numeric, strict=True)]
        print("| " + " | ".join(aligned) + " |")
    print(flush=True)


def machine() -> Row:
    """Return facts about the machine that the figures depend on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "grpcio": version("grpcio"),
        "load": round(os.getloadavg()[0], 2),
    }


def _cell(value: object, form: str) -> str:
    return "-" if value is None else format(value, form)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
