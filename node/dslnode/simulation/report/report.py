"""The directory that a simulation leaves: tables, page, settings, the command, and files to do it on boards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dslnode.config.loader import LoadedSettings
from dslnode.config.toml import settings_as_toml
from dslnode.learning.tasks.chosen import learning_task
from dslnode.simulation.records import RoundRecord
from dslnode.simulation.report.deployment import compose_file, ticket_commands
from dslnode.simulation.report.page import page
from dslnode.simulation.report.tables import write_tables
from dslnode.simulation.simulation import PreparedSimulation


def write_report(
    directory: Path,
    command: str,
    loaded: LoadedSettings,
    prepared: PreparedSimulation,
    records: Sequence[RoundRecord],
) -> None:
    """Write all files of the report; former ones of the same names are replaced. Raises ``OSError``."""
    plan = prepared.plan
    write_tables(directory, plan, records)
    score = learning_task(prepared.parts[0]).score_name
    title = f"{len(plan.boards)} simulated nodes, {prepared.settings.data}"
    chosen = {
        name: text_of(getattr(prepared.settings, name))
        for name, origin in loaded.origins.items()
        if origin != "default" and name not in ("name", "keep_ratio")
    }
    chosen["rounds"] = str(prepared.settings.rounds)
    tickets = "\n".join(["set -e", *ticket_commands(plan, chosen)])
    files = {
        "page.html": page(title, command, score, plan, records),
        "settings.toml": settings_as_toml(loaded),
        "command.txt": command,
        "tickets.sh": tickets,
        "compose.yml": compose_file(plan),
    }
    for name, text in files.items():
        (directory / name).write_text(text.rstrip("\n") + "\n", encoding="utf-8")


def text_of(value: object) -> str:
    """Return a setting's value as the text that ``--set`` reads."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return ",".join(f"{name}={part}" for name, part in value.items())
    return str(value)
