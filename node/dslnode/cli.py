"""The command line. torch and grpc are imported by the commands that need them, so that ``--help`` is instant."""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from dslnode import __version__, cli_authority
from dslnode.config import Settings, describe
from dslnode.errors import DslnodeError, ExitCode
from dslnode.sources import Loaded, load

EXIT_CODES = """
Exit codes: 0 done, 1 internal error, 2 a setting is wrong, 3 data or model cannot be used, 4 address taken,
5 state directory cannot be used, 6 no node answers, 130 stopped by Ctrl-C, 143 stopped by SIGTERM.
"""

app = typer.Typer(
    name="dslnode",
    help="Devices learn personal binary masks over one frozen random network, and exchange only masks.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigFile = Annotated[
    Optional[Path],  # noqa: UP045 (typer reads the annotation)
    typer.Option("--config", metavar="FILE", envvar="DSLNODE_CONFIG", help="TOML file with settings."),
]

ShowFlag = Annotated[bool, typer.Option("--show", help="Print the effective settings (the default).")]


def with_settings(command: Callable[[Loaded], None], *, show: bool = False) -> Callable[..., None]:
    """Give a command one option for every setting, documented by the settings themselves (and ``--show``, if asked).

    The options' text is handed to ``sources.load``, so that a value means the same wherever it comes from.
    """

    def run(config: Path | None = None, show: bool = True, **options: str | bool | None) -> None:  # noqa: ARG001
        given = {name: str(value) for name, value in options.items() if value is not None}
        command(load(given, os.environ, config))

    parameters = [inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ConfigFile)]
    if show:
        parameters.append(inspect.Parameter("show", inspect.Parameter.KEYWORD_ONLY, default=True, annotation=ShowFlag))
    parameters += [_option(name) for name in Settings.model_fields]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    return run


def _option(name: str) -> inspect.Parameter:
    flag = name.replace("_", "-")
    field = Settings.model_fields[name]
    if field.annotation is bool:
        option = typer.Option(f"--{flag}/--no-{flag}", help=describe(name), show_default=False)
        annotation: Any = Annotated[Optional[bool], option]  # noqa: UP045
    else:
        shown = "" if field.default_factory or field.default in (None, "", (), {}) else f" [default: {field.default}]"
        option = typer.Option(f"--{flag}", metavar="VALUE", help=describe(name) + shown)
        annotation = Annotated[Optional[str], option]  # noqa: UP045
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def start(loaded: Loaded) -> None:
    """Run one node until it is stopped, or for --rounds N.

    Example: dslnode start --ticket board-7.ticket --data digits --share 1/3 --state-dir /var/lib/dslnode
    """
    from dslnode.start import run_node

    raise typer.Exit(run_node(loaded.settings))


app.command("start", epilog=EXIT_CODES)(with_settings(start))


def config(loaded: Loaded) -> None:
    """Print the effective settings as a TOML file, with the meaning and the origin of each.

    Takes the same options as start, so that a command line can be tried, or turned into a file.
    """
    from dslnode.settings_text import settings_as_toml

    with _until_reader_leaves():
        sys.stdout.write(settings_as_toml(loaded))


app.command("config", epilog=EXIT_CODES)(with_settings(config, show=True))
app.add_typer(cli_authority.app, name="ca")


@app.command()
def status(
    address: Annotated[str, typer.Option(metavar="HOST:PORT", help="The node's --listen address.")] = "127.0.0.1:7711",
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every second until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with --watch one object a line.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.", min=0.1)] = 3.0,
    ticket: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", envvar="DSLNODE_TICKET", help="Any ticket of the node's network, if it has one."),
    ] = None,
) -> None:
    """Ask a running node for round, phase, accuracy, neighbours and traffic."""
    from dslnode.status_view import show_status

    with _until_reader_leaves():
        show_status(address, watch=watch, as_json=as_json, timeout=timeout, ticket=ticket)


@app.command()
def demo(
    nodes: Annotated[int, typer.Option(min=2, max=20, help="How many daemons to start.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, max=10_000, help="Rounds that each node does.")] = 40,
    data: Annotated[str, typer.Option(help="Data set, as for dslnode start.")] = "digits",
    report: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Write the results as JSON."),
    ] = None,
) -> None:
    """Start several real daemons on this machine, each with few classes, and watch them learn together."""
    from dslnode.demo import run_demo

    run_demo(nodes, rounds, data, report)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"dslnode {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; errors that a user can mend are printed without a stack trace."""
    try:
        app()
    except DslnodeError as error:
        typer.echo(f"dslnode: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)


@contextlib.contextmanager
def _until_reader_leaves() -> Iterator[None]:
    """Take it as done when nobody reads on, as in ``dslnode config | head -1``; typer would call it an error."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
