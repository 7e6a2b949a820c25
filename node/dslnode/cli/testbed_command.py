"""The command ``dslnode testbed``: its options, and those settings that all nodes of a testbed have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dslnode.cli.help import CommandHelp
from dslnode.cli.options import Topology, with_settings
from dslnode.config.loader import LoadedSettings
from dslnode.config.settings import Settings, section_of

app = typer.Typer()

MIN_NODES, MAX_NODES = 2, 256
NOT_IN_COMMON = {
    name
    for name in Settings.model_fields
    if (section_of(name) == "The node and its neighbours" and name != "checkpoint_every")
    or section_of(name) == "Predictions over HTTP"
    or name in ("share", "log_format")
}
"""Settings that the testbed chooses for each node."""


def start_testbed(
    loaded: LoadedSettings,
    nodes: Annotated[
        Optional[int],  # noqa: UP045 (typer reads the annotation)
        typer.Option(
            min=MIN_NODES,
            max=MAX_NODES,
            help="How many daemons to start. Default: 8, or as many as the file of --topology has.",
        ),
    ] = None,
    directory: Annotated[
        Path, typer.Option("--dir", metavar="DIRECTORY", help="Where tickets, states, logs and the page go.")
    ] = Path("testbed"),
    topology: Topology = "erdos:6",
    *,
    restart: Annotated[bool, typer.Option("--restart", help="Start nodes again that are killed or fail.")] = False,
    namespaces: Annotated[
        bool, typer.Option("--namespaces", help="Give each node a network namespace of its own. Needs root.")
    ] = False,
) -> None:
    """Run many real daemons on this machine, with tickets, until Ctrl-C or for --rounds N.

    Each is a process of its own; they share the memory of what they import. The directory gets a page that shows all
    of them, and targets for Prometheus. The same command goes on where it was stopped.
    """
    from dslnode.cli.testbed_run import Request, run_testbed

    request = Request(
        settings=loaded.settings,
        directory=directory.absolute(),
        nodes=nodes,
        topology=topology,
        restart=restart,
        namespaces=namespaces,
    )
    raise typer.Exit(run_testbed(request))


app.command("testbed", cls=CommandHelp)(with_settings(start_testbed, without=NOT_IN_COMMON))
