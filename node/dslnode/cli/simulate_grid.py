"""Runs a grid of simulations, one after the other, and shows them in a table: ``dslnode simulate --grid``."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dslnode.cli.formatting import percent, si_amount
from dslnode.cli.simulate import Request, given_command, make_directory, prepared_simulation, simulate
from dslnode.errors import DslnodeError, ExitCode, StateError
from dslnode.simulation.checkpoints import check_ended, resumable_round, state_of
from dslnode.simulation.grid import Combination, check_distinct, combinations, outcome, over_seeds, values_of, varied
from dslnode.simulation.grid_directory import Found, GridDirectory, grid_identity, run_name
from dslnode.simulation.likeness_file import LIKENESS_FILE, write_likeness
from dslnode.simulation.method_simulation import AnySimulation
from dslnode.simulation.records import RoundRecord, summaries
from dslnode.simulation.report.grid_page import Course, grid_page
from dslnode.simulation.report.report import REPORT_FILES, held_report, remove_files, write
from dslnode.simulation.report.tables import read_hostile, read_rounds

SCORE_TOLERANCE = 1e-9
"""A mean that was summed in another order may differ by as much."""


@dataclass
class Grid:
    """A grid of simulations: those to be run, by their combinations, and what came of those that are done."""

    directory: Path
    files: GridDirectory
    runs: list[tuple[Combination, Request]]
    found: Found = field(default_factory=list)
    courses: list[Course] = field(default_factory=list)

    @property
    def waiting(self) -> list[tuple[Combination, Request]]:
        """Those that are not done."""
        done = [combination for combination, _ in self.found]
        return [(combination, request) for combination, request in self.runs if combination not in done]

    @property
    def reached(self) -> bool:
        """Whether all that are done, and were to reach a score, have reached it."""
        wanted = {run_name(combination): request.options.until_score for combination, request in self.runs}
        scores = [(wanted.get(run_name(combination)), each.mean_score or 0.0) for combination, each in self.found]
        return all(until is None or score >= until - SCORE_TOLERANCE for until, score in scores)

    def add(self, combination: Combination, simulation: AnySimulation) -> None:
        """Take in a simulation that is done."""
        honest = simulation.prepared.plan.honest
        records = [record for record in simulation.records if record.node in honest]
        score_name = simulation.prepared.score_name
        self.found.append((combination, outcome(records, hostile=frozenset(), score_name=score_name)))
        self.courses.append(_course(combination, records, score_name))
        self.files.write(self.found)


def run_grid(request: Request, axes: Sequence[str]) -> ExitCode:
    """Run every combination, each with a report of its own, and show all; return why it ended.

    All of them are checked before the first one runs. With ``resume`` those are left out that are done, and one that
    was interrupted goes on. What is done is shown after a failure, too. Raises a ``DslnodeError``.
    """
    console, grid = Console(), _grid(request, axes)
    for _, own in grid.waiting:
        prepared_simulation(own, console)
    make_directory(request.directory)
    with held_report(request.directory):
        return _run_in_directory(request, grid, console)


def _run_in_directory(request: Request, grid: Grid, console: Console) -> ExitCode:
    if request.like is not None:
        write_likeness(request.directory, request.like)
    grid.files.begin(len(grid.found) + len(grid.waiting), grid.found)
    stale = [name for name in REPORT_FILES if name != LIKENESS_FILE or request.like is None]
    remove_files(request.directory, stale)  # of a former simulation: those of a grid are in directories of their own
    try:
        code = _run(grid, console)
    except (Exception, KeyboardInterrupt):
        with contextlib.suppress(DslnodeError):  # the first failure is the one to be said
            _show(grid, console)
        raise
    _show(grid, console)
    return code if code is not ExitCode.DONE or grid.reached else ExitCode.PROBLEM


def _grid(request: Request, axes: Sequence[str]) -> Grid:
    """Return the grid, with what is done of it. Raises ``SettingsError`` or ``StateError`` if it cannot be run here."""
    runs = combinations(axes)
    settings, options, names = request.loaded.settings, request.options, list(runs[0])
    check_distinct(settings, options, runs)
    identity = grid_identity(settings, options, names, like=request.like is not None)
    files = GridDirectory(request.directory, identity, names)
    found: Found = []
    if request.resume:
        found = files.read()
        done = {values_of(settings, options, combination): combination for combination, _ in found}
        runs = [done.get(values_of(settings, options, run), run) for run in runs]  # as its directory is named
    else:
        files.check_free()
        check_ended(state_of(request.directory))
    request = replace(
        request,
        axes=tuple(name for name in names if len({run[name] for run in runs}) > 1),
        compared=tuple({run["method"]: None for run in runs if "method" in run}),
    )
    return Grid(
        request.directory,
        files,
        [(run, _request(request, run)) for run in runs],
        found,
        [_read_course(request.directory, combination, each.score_name) for combination, each in found],
    )


def _run(grid: Grid, console: Console) -> ExitCode:
    """Run those that wait, until one is stopped; return why it ended."""
    for combination, own in grid.waiting:
        console.print(", ".join(f"{name} {value}" for name, value in combination.items()), highlight=False)
        code, simulation = simulate(own, console)
        if code not in (ExitCode.DONE, ExitCode.PROBLEM):
            return code
        grid.add(combination, simulation)
    return ExitCode.DONE


def _show(grid: Grid, console: Console) -> None:
    """Print the tables of what is done, and write the page. Raises ``SettingsError`` if it cannot be written."""
    if not grid.found:
        return
    for table in _tables(grid.found):
        console.print(table)
    page = grid.directory / "grid.html"
    write(page, grid_page(f"{len(grid.found)} simulations", given_command(), grid.courses))
    console.print(f"all runs: {grid.files.table}, {page}", soft_wrap=True, highlight=False)


def _course(combination: Combination, records: Sequence[RoundRecord], score_name: str) -> Course:
    """Return the course of a combination; ``records`` are those of its honest nodes."""
    name = ", ".join(f"{name} {value}" for name, value in combination.items() if name != "seed") or "all seeds"
    return Course(name, summaries(records), score_name)


def _read_course(directory: Path, combination: Combination, score_name: str) -> Course:
    place = directory / run_name(combination)
    try:
        hostile = read_hostile(place / "nodes.csv")
        records = read_rounds(place / "rounds.csv")
    except (OSError, ValueError) as error:
        raise StateError(
            f"{place}: cannot be read ({error}); delete its row in {directory / 'grid.csv'} to run it again"
        ) from error
    return _course(combination, [record for record in records if record.node not in hostile], score_name)


def _request(request: Request, combination: Combination) -> Request:
    settings, options = varied(request.loaded.settings, request.options, combination)
    origins = {**request.loaded.origins, **{name: "--grid" for name in combination if name in request.loaded.origins}}
    directory = request.directory / run_name(combination)
    return replace(
        request,
        loaded=replace(request.loaded, settings=settings, origins=origins),
        options=options,
        directory=directory,
        resume=request.resume and resumable_round(state_of(directory)) > 0,
    )


def _tables(found: Found) -> list[Table]:
    """Return a table for each kind of score: means of two kinds cannot be compared."""
    tables: dict[str, Table] = {}
    for combination, seeds, mean in over_seeds(found):
        table = tables.get(mean.score_name) or _empty_table(list(combination), mean.score_name or "score")
        tables[mean.score_name] = table
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
    return list(tables.values())


def _empty_table(names: Sequence[str], score_name: str) -> Table:
    table = Table(box=None, pad_edge=False)
    score = "\n".join(["mean", *score_name.split()])
    for name in (*names, "seeds", "rounds", score, "worst", "sent per\nnode", "on the\nwire", "seconds"):
        table.add_column(name, justify="left" if name in names else "right", no_wrap=True)
    return table
