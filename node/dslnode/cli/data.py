"""Commands about data: ``dslnode data describe`` writes a schema, ``dslnode data check`` says what does not fit it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional
from urllib.parse import quote

import typer

from dslnode.cli.help import CommandHelp, GroupHelp
from dslnode.errors import DataError, ExitCode

MAX_PROBLEMS = 200
app = typer.Typer(
    name="data", cls=GroupHelp, help="Look at data: write a schema, and check a file by one.", no_args_is_help=True
)

Data = Annotated[
    str, typer.Argument(metavar="FILE", help="A file or folder, or what --data of dslnode start takes: csv:FILE?...")
]


@app.command(cls=CommandHelp)
def describe(
    data: Data,
    *,
    target: Annotated[str, typer.Option(metavar="COLUMN,...", help="What is to be foretold. Default: by rule.")] = "",
    task: Annotated[
        str, typer.Option(metavar="TASK", help="classification, regression, multilabel, forecast or anomaly.")
    ] = "",
    scaling: Annotated[
        str,
        typer.Option(metavar="run|local", help="Whether all nodes scale by this file's numbers, or each by its own."),
    ] = "run",
) -> None:
    """Print a schema of a file: its columns, target, classes and task, as a commented TOML file.

    Example: dslnode data describe pump.csv --target state > pump.schema.toml
    """
    from dslnode.data.describe import describe_data
    from dslnode.data.schema_file import schema_text

    if scaling not in {"run", "local"}:
        raise DataError(f"--scaling {scaling}: it takes run or local")
    schema, notes = describe_data(_spec(data, target), task)
    described = schema.model_copy(update={"scaling": scaling})
    sys.stdout.write(schema_text(described, source=data, notes=notes))


@app.command(cls=CommandHelp)
def check(
    data: Data,
    schema: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="The schema, as dslnode data describe printed it."),
    ] = None,
) -> None:
    """Say line by line what of a file does not fit a schema; exit code 3 if anything does not.

    Example: dslnode data check pump.csv --schema pump.schema.toml
    """
    from dslnode.data.describe import check_data
    from dslnode.data.schema_file import read_schema

    if schema is None:
        raise DataError("--schema: name the schema to check by; `dslnode data describe` makes one")
    found = 0
    for problem in check_data(_spec(data, ""), read_schema(str(schema))):
        found += 1
        if found > MAX_PROBLEMS:
            typer.echo(f"and more; the first {MAX_PROBLEMS} are shown")
            break
        typer.echo(problem)
    if found:
        raise typer.Exit(ExitCode.DATA)
    typer.echo(f"{data}: fits {schema}")


def _spec(data: str, target: str) -> str:
    """Return what ``--data`` takes: with a prefix by the file's name, and the target among the options."""
    from dslnode.data.spec import OPTIONS_BEGIN, kind_of, probable_kind

    if not kind_of(data):
        path = Path(OPTIONS_BEGIN.split(data)[0])
        kind = "images" if path.is_dir() else probable_kind(data) or "csv"
        data = f"{kind}:{data}"
    if not target:
        return data
    joint = "&" if OPTIONS_BEGIN.search(data) else "?"
    return f"{data}{joint}target={','.join(quote(name.strip()) for name in target.split(','))}"
