"""Runs a grid of simulations, one after the other, and shows them in one table: ``dslnode simulate --grid``."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dslnode.cli.formatting import percent, si_amount
from dslnode.cli.simulate import Request, given_command, make_directory, simulate
from dslnode.errors import ExitCode, StateError
from dslnode.simulation.grid import Combination, Outcome, combinations, outcome, over_seeds, varied
from dslnode.simulation.records import summaries
from dslnode.simulation.report.grid_page import Course, grid_page
from dslnode.simulation.report.report import write
from dslnode.simulation.report.tables import read_hostile, read_rounds

Found = list[tuple[Combination, Outcome]]
MAX_FILE_BYTES = 64 << 20


def run_grid(request: Request, axes: Sequence[str]) -> ExitCode:
    """Run every combination, each with a report of its own, and show all; return why it ended.

    With ``resume`` those are left out that ``grid.csv`` has. Raises a ``DslnodeError`` that says what is wrong.
    """
    console, runs = Console(), combinations(axes)
    requests = [_request(request, combination) for combination in runs]
    make_directory(request.directory)
    file = request.directory / "grid.csv"
    found = read_outcomes(file, list(runs[0])) if request.resume and file.exists() else []
    code = ExitCode.DONE
    for combination, own in zip(runs, requests, strict=True):
        if combination in [done for done, _ in found]:
            continue
        console.print(", ".join(f"{name} {value}" for name, value in combination.items()), highlight=False)
        code, simulation = simulate(own, console)
        if code is not ExitCode.DONE:
            break
        boards = simulation.prepared.plan.boards
        hostile = frozenset(i for i, board in enumerate(boards) if board.hostile)
        found.append((combination, outcome(simulation.records, hostile=hostile)))
        write_outcomes(file, found)
    page = request.directory / "grid.html"
    courses = [_course(request.directory, combination) for combination, _ in found]
    write(page, grid_page(f"{len(found)} simulations", given_command(), courses))
    console.print(_table(found))
    console.print(f"all runs: {file}, {page}", soft_wrap=True, highlight=False)
    return code


def read_outcomes(file: Path, names: Sequence[str]) -> Found:
    """Return what ``write_outcomes`` wrote for these axes. Raises ``StateError`` if the file is another one."""
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ValueError("larger than any grid's")
        with file.open(newline="", encoding="utf-8") as source:
            rows = list(csv.DictReader(source))
        return [({name: row[name] for name in names}, _outcome(row)) for row in rows]
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise StateError(
            f"{file}: is not of this grid ({error}); leave --resume out, or name another --report"
        ) from error


def write_outcomes(file: Path, found: Found) -> None:
    """Write a row for every simulation: the values of its axes, and what came of it."""
    with file.open("w", newline="", encoding="utf-8") as target:
        writer = csv.DictWriter(target, [*found[0][0], *Outcome.__dataclass_fields__])
        writer.writeheader()
        writer.writerows({**combination, **asdict(each)} for combination, each in found)


def run_name(combination: Combination) -> str:
    """Return the name of a run's directory: its values, without what a file's name should not have."""
    return re.sub(r"[^A-Za-z0-9._=,-]", "_", ",".join(f"{name}={value}" for name, value in combination.items()))


def _course(directory: Path, combination: Combination) -> Course:
    place = directory / run_name(combination)
    name = ", ".join(f"{name} {value}" for name, value in combination.items() if name != "seed") or "all seeds"
    try:
        hostile = read_hostile(place / "nodes.csv")
        records = read_rounds(place / "rounds.csv")
    except (OSError, ValueError) as error:
        raise StateError(f"{place}: cannot be read ({error}); leave --resume out to run it again") from error
    return Course(name, summaries(record for record in records if record.node not in hostile))


def _request(request: Request, combination: Combination) -> Request:
    settings, options = varied(request.loaded.settings, request.options, combination)
    origins = {**request.loaded.origins, **{name: "--grid" for name in combination if name in request.loaded.origins}}
    loaded = replace(request.loaded, settings=settings, origins=origins)
    return replace(
        request, loaded=loaded, options=options, directory=request.directory / run_name(combination), resume=False
    )


def _outcome(row: dict[str, str]) -> Outcome:
    return Outcome(
        rounds=float(row["rounds"]),
        mean_score=float(row["mean_score"]) if row["mean_score"] else None,
        worst_score=float(row["worst_score"]) if row["worst_score"] else None,
        payload_bits=float(row["payload_bits"]),
        wire_bytes=float(row["wire_bytes"]),
        seconds=float(row["seconds"]),
    )


def _table(found: Found) -> Table:
    table = Table(box=None, pad_edge=False)
    names = [name for name in found[0][0] if name != "seed"] if found else []
    for name in (*names, "seeds", "rounds", "mean\nscore", "worst", "sent per\nnode", "on the\nwire", "seconds"):
        table.add_column(name, justify="left" if name in names else "right", no_wrap=True)
    for combination, seeds, mean in over_seeds(found):
        table.add_row(
            *combination.values(),
            str(seeds),
            f"{mean.rounds:.0f}",
            percent(mean.mean_score),
            percent(mean.worst_score),
            si_amount(mean.payload_bits, "bit"),
            si_amount(mean.wire_bytes),
            f"{mean.seconds:,.1f}",
        )
    return table
