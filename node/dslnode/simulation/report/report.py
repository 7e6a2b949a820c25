"""The directory that a simulation leaves: tables, page, settings, the command, and files to do it on boards."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from dslnode.atomic_file import is_regular, replace_file
from dslnode.config.loader import LoadedSettings
from dslnode.config.toml import settings_as_toml
from dslnode.errors import SettingsError, StateError
from dslnode.runtime.file_lock import lock_file
from dslnode.simulation.build import PreparedSimulation
from dslnode.simulation.likeness_file import LIKENESS_FILE
from dslnode.simulation.method_simulation import AnySimulation
from dslnode.simulation.partition_file import write_partition
from dslnode.simulation.report.deployment import as_remarks, compose_file, differences, ticket_commands
from dslnode.simulation.report.page import PageFacts, page
from dslnode.simulation.report.tables import write_rounds, write_tables
from dslnode.simulation.simulated_settings import chosen_settings

READABLE_BY_ALL = 0o644
REFERENCE = "reference.csv"
REPORT_FILES = (
    *("settings.toml", "command.txt", "page.html", "tickets.sh", "compose.yml", "partition.jsonl"),
    *("rounds.csv", "rounds.parquet", "nodes.csv", "edges.txt", REFERENCE, LIKENESS_FILE),
)
"""All that a report may have beside saved states."""


@contextlib.contextmanager
def held_report(directory: Path) -> Iterator[None]:
    """Hold the directory of a report, which needs no file for that. Raises ``StateError`` if another process does."""
    with _explained(directory):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor, directory)
        yield
    finally:
        os.close(descriptor)


def begin_report(directory: Path, command: str, loaded: LoadedSettings, prepared: PreparedSimulation) -> None:
    """Write what is known before the first round: settings and command.

    Raises ``SettingsError`` if the directory cannot be written, before a simulation has taken its time.
    """
    write(directory / "settings.toml", settings_as_toml(replace(loaded, settings=prepared.settings)))
    write(directory / "command.txt", command)


def write_report(directory: Path, command: str, loaded: LoadedSettings, simulation: AnySimulation) -> None:
    """Write all other files of the report; former ones of the same names are replaced, and what this one lacks removed.

    Raises ``SettingsError``.
    """
    prepared, plan = simulation.prepared, simulation.prepared.plan
    facts = PageFacts(
        title=f"{len(plan.boards)} simulated nodes, {prepared.settings.data}",
        command=command,
        score_name=prepared.score_name,
        weights=simulation.weights,
    )
    remarks = as_remarks([*differences(prepared, simulation.method)])
    commands = ticket_commands(plan, chosen_settings(loaded, prepared.settings, rounds_of(simulation)))
    texts = {
        "page.html": page(facts, plan, simulation.records, simulation.reference),
        "tickets.sh": remarks + "\n".join(["set -e", *commands]),
        "compose.yml": compose_file(plan, remarks),
    }
    with _explained(directory):
        write_tables(directory, plan, simulation.records)
        if simulation.reference is not None:
            write_rounds(directory / REFERENCE, simulation.reference.records)
        else:
            remove_files(directory, (REFERENCE,))
        write_partition(directory / "partition.jsonl", prepared.positions)
    for name, text in texts.items():
        write(directory / name, text)


def write(file: Path, text: str) -> None:
    """Write one file of a report, whole or not at all. Raises ``SettingsError`` if it cannot be written."""
    with _explained(file.parent):
        replace_file(file, (text.rstrip("\n") + "\n").encode(), mode=READABLE_BY_ALL)


def remove_files(directory: Path, names: Iterable[str]) -> None:
    """Remove what a former report left under these names, and nothing that is no regular file.

    Raises ``SettingsError`` if the directory cannot be written.
    """
    with _explained(directory):
        for file in (directory / name for name in names):
            if is_regular(file):
                file.unlink()


def rounds_of(simulation: AnySimulation) -> int:
    """Return how many rounds its nodes were to do; those that they did, where a score ends it."""
    prepared = simulation.prepared
    done = max((record.round for record in simulation.records), default=0)
    return prepared.settings.rounds if prepared.plan.until_score is None or not done else done


def _lock(descriptor: int, directory: Path) -> None:
    try:
        lock_file(descriptor)
    except BlockingIOError:
        raise StateError(
            f"--report {directory}: another simulation is writing it; wait until that one has ended, or name another"
        ) from None


@contextlib.contextmanager
def _explained(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(f"--report {directory}: cannot be written ({error.strerror}); name another one") from error
