"""Runs a simulation with a progress bar, and leaves its report: ``dslnode simulate``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from dslnode.cli.endings import Stopped, signals_kept
from dslnode.cli.formatting import exact_percent, percent, si_amount
from dslnode.cli.simulate_unused import check_partition, check_used
from dslnode.config.loader import LoadedSettings
from dslnode.errors import DslnodeError, ExitCode, SettingsError
from dslnode.simulation.build import PreparedSimulation
from dslnode.simulation.checkpoints import Checkpoints, identity_of
from dslnode.simulation.engines import Engine, EngineName
from dslnode.simulation.graph import unlinked_count
from dslnode.simulation.grid_directory import GRID_FILES, check_no_grid
from dslnode.simulation.likeness import Likeness
from dslnode.simulation.likeness_file import LIKENESS_FILE, write_likeness
from dslnode.simulation.method_simulation import AnySimulation, MethodSimulation, reference_simulation
from dslnode.simulation.records import Incidents, Reference, RoundSummary, summaries
from dslnode.simulation.report.report import begin_report, held_report, remove_files, write_report
from dslnode.simulation.simulated_settings import NOT_SIMULATED
from dslnode.simulation.simulation import (
    AUTHORS,
    MASK_METHODS,
    MASKS_ALONE,
    Simulation,
    SimulationOptions,
    prepare_simulation,
)

SHOWN_ROUNDS = 12


@dataclass(frozen=True, kw_only=True)
class Request:
    """What one simulation is to do, and where its report goes.

    In a grid, ``axes`` are the settings and options that have several values in it, and ``compared`` the methods in it.
    """

    loaded: LoadedSettings
    options: SimulationOptions
    directory: Path
    checkpoint_every: int = 0
    resume: bool = False
    like: Likeness | None = None
    reference: str = ""
    engine: Engine = field(default_factory=Engine)
    axes: tuple[str, ...] = ()
    compared: tuple[str, ...] = ()


def run_simulation(request: Request) -> ExitCode:
    """Run it to its end, or until it is stopped, and write and show what was done; return why it ended.

    Raises a ``DslnodeError`` that says what is wrong with settings, data or model.
    """
    console = Console()
    code, simulation = simulate(request, console)
    console.print(_table(simulation))
    console.print(_incidents(simulation.incidents))
    console.print(f"the report: {request.directory / 'page.html'}", soft_wrap=True, highlight=False)
    return code


def simulate(request: Request, console: Console) -> tuple[ExitCode, AnySimulation]:
    """Run a simulation and write its report; return why it ended, and the simulation.

    All that can be wrong with the request, or with the directory of the report, is found before the first round. What
    was done before a failure is in the report, too. Raises a ``DslnodeError``.
    """
    torch.set_num_threads(request.loaded.settings.threads)
    simulation = prepared_simulation(request, console)
    make_directory(request.directory)
    with held_report(request.directory):
        return _simulated(request, simulation, console), simulation


def _simulated(request: Request, simulation: AnySimulation, console: Console) -> ExitCode:
    loaded, directory, prepared = request.loaded, request.directory, simulation.prepared
    begin_report(directory, given_command(), loaded, prepared)
    if request.like is not None:
        write_likeness(directory, request.like)
    for line in _without_effect(request):
        console.print(line, highlight=False)
    alone = unlinked_count(prepared.plan.neighbours)
    if alone and request.options.method != MASKS_ALONE:
        console.print(f"{alone} of {len(prepared.plan.boards)} nodes have no link", highlight=False)
    for line in _to_be_done(request, simulation):
        console.print(line, highlight=False)
    before = len(simulation.records)
    try:
        code = _run(simulation, console, at_most=loaded.settings.rounds)
    except Exception:
        if len(simulation.records) > before:
            _rescue(request, simulation, console)
        raise
    finally:
        simulation.close()
    _write(request, simulation)
    if code is ExitCode.DONE and prepared.plan.until_score is not None:  # said now: a reference may be interrupted
        console.print(_target(simulation, prepared.plan.until_score), highlight=False)
    if code is ExitCode.DONE and request.reference:
        code = _run_reference(request.reference, simulation, console)
        _write(request, simulation)
    if code is ExitCode.DONE and prepared.plan.until_score is not None:
        code = ExitCode.DONE if simulation.reached else ExitCode.PROBLEM
    return code


def _run_reference(method: str, simulation: AnySimulation, console: Console) -> ExitCode:
    """Run another method for as many rounds as a simulation had, and put it beside that; return why it ended."""
    prepared = simulation.prepared
    rounds = max(record.round for record in simulation.records)
    settings = prepared.settings.model_copy(update={"rounds": rounds})
    other = reference_simulation(replace(prepared, settings=settings), method, beside=simulation.method)
    simulation.reference = Reference(method, other.records)
    console.print(f"for reference: {method}", highlight=False)
    return _run(other, console, at_most=rounds)


def prepared_simulation(request: Request, console: Console) -> AnySimulation:
    """Return the simulation before its nodes are built; nothing has been written yet.

    Raises a ``DslnodeError`` if anything is wrong with settings, options, data, model or saved state.
    """
    _without_effect(request)
    prepared = prepare_simulation(request.options, request.loaded.settings, request.like)
    if request.reference:  # so that what is wrong with it is said before anything runs
        reference_simulation(prepared, request.reference, beside=request.options.method)
    chosen = prepared.settings.model_dump_json(exclude={"rounds", *NOT_SIMULATED})
    identity = identity_of(chosen, prepared.plan, prepared.positions)
    every = request.checkpoint_every
    checkpoints = Checkpoints(request.directory, identity, nodes=len(prepared.plan.boards), every=every)
    check_no_grid(request.directory)
    if not request.resume:
        checkpoints.check_free()
    return _simulation(request, prepared, checkpoints, console)


def _without_effect(request: Request) -> Iterator[str]:
    """Return a line for what is without effect. Raises ``SettingsError`` where that may not be."""
    unused = check_used(request.loaded, request.options, axes=request.axes, compared=request.compared)
    replaced = check_partition(request.loaded, request.options, axes=request.axes)
    lines = {f"method {request.options.method} does without": unused, "--partition takes the place of": replaced}
    return (f"{what} {', '.join(names)}" for what, names in lines.items() if names)


def _to_be_done(request: Request, simulation: AnySimulation) -> Iterator[str]:
    """Yield what a user may not expect of how many rounds there will be."""
    settings, asked = simulation.prepared.settings, request.loaded.settings
    saved = max((record.round for record in simulation.records), default=0)
    if saved >= settings.rounds:
        yield (
            f"--rounds {settings.rounds:,}: {saved:,} are saved already, and nothing is left to do; the report has all "
            "of them"
        )
    if request.options.method == AUTHORS:
        usual = settings.rounds * settings.local_steps // asked.local_steps
        yield (
            f"the authors' form has {settings.rounds:,} rounds of {settings.local_steps} local step, which are as many "
            f"steps as {usual:,} rounds of {asked.local_steps}"
        )


def _target(simulation: AnySimulation, score: float) -> str:
    """Return when the score was reached that was asked for."""
    wanted, reached = f"a mean score of {exact_percent(score)}", simulation.reached
    if reached is None:
        return f"{wanted} was not reached within {simulation.prepared.settings.rounds:,} rounds"
    return f"{wanted} was reached in round {reached.round:,} after {reached.seconds:,.1f} s"


def _write(request: Request, simulation: AnySimulation) -> None:
    """Write the report, and remove what a former one had and this one has not. Raises ``SettingsError``."""
    write_report(request.directory, given_command(), request.loaded, simulation)
    remove_files(request.directory, (*GRID_FILES, *([LIKENESS_FILE] if request.like is None else [])))


def _rescue(request: Request, simulation: AnySimulation, console: Console) -> None:
    """Write the report of a simulation that has failed, or say why that cannot be done."""
    try:
        _write(request, simulation)
    except DslnodeError as error:
        console.print(f"there is no report: {error}", soft_wrap=True, highlight=False)
    else:
        console.print(f"it failed; {request.directory} has the report of what was done", soft_wrap=True)


def _simulation(
    request: Request, prepared: PreparedSimulation, checkpoints: Checkpoints, console: Console
) -> AnySimulation:
    options = request.options
    if options.method in MASK_METHODS:
        if options.method_rate is not None:
            raise SettingsError(f"--method-rate: {options.method} has --learning-rate; give that, or another --method")
        return Simulation(
            prepared,
            checkpoints,
            request.resume,
            engine=signals_kept()(request.engine.start),
            save_every=request.checkpoint_every,
            on_loss=lambda loss: console.print(f"{loss}: all go back to where they were saved", highlight=False),
        )
    if request.engine.name is not EngineName.LOCAL:
        raise SettingsError(f"--method {options.method}: runs in this process only; leave --engine out")
    if request.checkpoint_every or request.resume:
        raise SettingsError(
            f"--method {options.method}: has no states on disk; leave --checkpoint-every and --resume out"
        )
    return MethodSimulation(prepared, options.method, options.method_rate)


def given_command() -> str:
    """Return the command that this process was started with, as a shell reads it."""
    return shlex.join(["dslnode", *sys.argv[1:]])


def make_directory(directory: Path) -> None:
    """Make the directory of the report, unless there is one. Raises ``SettingsError`` if that cannot be."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"--report {directory}: cannot be made ({error.strerror}); name another one") from error


def _run(simulation: AnySimulation, console: Console, *, at_most: int) -> ExitCode:
    """Run it with a progress bar. ``at_most`` are the rounds that a user asks for, 0 for no number."""
    prepared = simulation.prepared
    nodes = len(prepared.plan.boards)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        building = progress.add_task("nodes built", total=nodes)
        until = prepared.plan.until_score is not None
        total = None if until and not at_most else nodes * prepared.settings.rounds
        running = progress.add_task("rounds of nodes, at most" if until else "rounds of nodes", total=total)
        try:
            for built in simulation.build():
                progress.update(building, completed=built)
            for finished in simulation.run():
                progress.update(running, completed=finished)
        except Stopped as stopped:
            console.print("interrupted; the report has what was done")
            return stopped.code
    return ExitCode.DONE


def _table(simulation: AnySimulation) -> Table:
    table = Table(title="Nodes that are not hostile", title_justify="left", box=None, pad_edge=False)
    headings = ("round", "nodes", "mean score", "worst", "sent per node", "on the wire", "seconds", "staleness")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    honest = simulation.prepared.plan.honest
    rounds = summaries(record for record in simulation.records if record.node in honest)
    measured = [each for each in rounds[:-1] if each.mean_score is not None]
    every = max(1, -(-len(measured) // SHOWN_ROUNDS))
    for each in [*measured[::every], *rounds[-1:]]:
        table.add_row(*_row(each))
    if simulation.reference is not None:
        for each in summaries(simulation.reference.records)[-1:]:
            table.add_row(*_row(each, f"{simulation.reference.method} "))
    return table


def _incidents(found: Incidents | None) -> str:
    """Return what happened beside learning, in one line."""
    if found is None:
        return "departures and resets are not known: nodes were not ready, or are lost"
    return f"{found.departures} departures, {found.resets} resets of replicas, {found.refused} messages refused"


def _row(each: RoundSummary, method: str = "") -> tuple[str, ...]:
    return (
        f"{method}{each.round}",
        str(each.nodes),
        percent(each.mean_score),
        percent(each.worst_score),
        si_amount(each.mean_payload_bits, "bit"),
        si_amount(each.mean_wire_bytes),
        f"{each.median_seconds:,.1f}",
        f"{each.mean_staleness:.2f}",
    )
