"""The commands that look at models' files: ``dslnode model``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dslnode.cli.help import CommandHelp, GroupHelp

app = typer.Typer(name="model", cls=GroupHelp, no_args_is_help=True, help="Look at the files of personal models.")

File = Annotated[Path, typer.Argument(metavar="FILE", help="A model's file, as dslnode export writes it.")]


@app.command(cls=CommandHelp)
def show(
    file: File,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with the schema and the operations.")] = False,
) -> None:
    """Say what a model is: task, classes, data, score, and what its bytes are spent on."""
    from dslnode.cli.model_view import show_model

    show_model(file, as_json=as_json)


@app.command(cls=CommandHelp)
def diff(first: File, second: File) -> None:
    """Say in which weights two models of one network differ, layer by layer."""
    from dslnode.cli.model_view import show_difference

    show_difference(first, second)


@app.command(cls=CommandHelp)
def verify(
    file: File,
    ticket: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--ticket", metavar="FILE", help="Check its seal, too, by the authority of this ticket."),
    ] = None,
) -> None:
    """Check that a file is whole: its checksum, its mask, its sizes, and who has sealed it."""
    from dslnode.cli.model_view import verify_model

    verify_model(file, ticket)
