"""The commands that take a node's settings as options: ``start``, ``config``, ``doctor``.

They are a module of their own because the settings, checked by pydantic, take longer to load than other commands.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from dslnode.cli.endings import ENDINGS
from dslnode.cli.help import CommandHelp
from dslnode.cli.options import with_settings
from dslnode.cli.output import until_reader_leaves
from dslnode.config.loader import LoadedSettings
from dslnode.errors import SettingsError

app = typer.Typer()


def start(
    loaded: LoadedSettings,
    begin_from: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--from",
            metavar="MODEL",
            envvar="DSLNODE_FROM",
            help="Begin with the model in this file, of another node or a backup, where no state is saved yet.",
        ),
    ] = None,
) -> None:
    """Run one node until it is stopped, or for --rounds N."""
    for number, code in ENDINGS.items():
        signal.signal(number, lambda *_, code=code: os._exit(code))  # while torch loads; process 1 has no default
    from dslnode.cli.node_process import run_process

    run_process(loaded.settings, begin_from)


app.command("start", cls=CommandHelp)(with_settings(start))


def config(
    loaded: LoadedSettings,
    file: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(metavar="FILE", help="The file to write with --init. Default: dslnode.toml."),
    ] = None,
    init: Annotated[
        bool, typer.Option("--init", help="Write a settings file to edit; never over another one.")
    ] = False,
    show: Annotated[  # noqa: ARG001
        bool, typer.Option("--show", help="Print the effective settings (the default).", show_default=False)
    ] = True,
) -> None:
    """Print the effective settings, or write a settings file.

    What is printed is a TOML file with the meaning and the origin of each setting. Takes the same options as start,
    so that a command line can be tried, or turned into a file: --init writes what is set, and the rest commented out.
    """
    from dslnode.config import toml

    if init:
        written = toml.write_template(loaded, file or Path("dslnode.toml"))
        typer.echo(f"wrote {written}; edit it, then: dslnode start --config {written}")
        return
    if file is not None:
        raise SettingsError(f"{file}: a file is written with --init only; to read one, use --config {file}")
    with until_reader_leaves():
        sys.stdout.write(toml.settings_as_toml(loaded))


app.command("config", cls=CommandHelp)(with_settings(config))


def doctor(
    loaded: LoadedSettings,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each peer's answer.", min=0.1)] = 3.0,
) -> None:
    """Look for what will not work, before a node starts or while it runs.

    Takes the same options as start. Looks at ticket, addresses, ports, peers, clock, disk, memory, torch and data, has
    peers that answer try to reach this node, and does a few real steps to tell what a round will take. Each finding
    comes with its remedy.
    """
    from dslnode.cli.doctor.examination import examine_node

    raise typer.Exit(examine_node(loaded, as_json=as_json, timeout=timeout))


app.command("doctor", cls=CommandHelp)(with_settings(doctor, examine=True))
