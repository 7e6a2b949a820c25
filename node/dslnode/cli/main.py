"""The command line. What is heavy is imported by the commands that need it, so that the others are instant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from dslnode.accounting.ledger import Period
from dslnode.cli.entry import process
from dslnode.cli.formats import AnswerFormat, ModelFormat
from dslnode.cli.help import CommandHelp
from dslnode.cli.late_commands import LateGroup
from dslnode.cli.output import until_reader_leaves
from dslnode.config.serving_limits import DEFAULT_LIMITS, Limits
from dslnode.errors import SettingsError

app = typer.Typer(
    name="dslnode",
    cls=LateGroup,
    help="Devices learn personal binary masks over one frozen random network, and exchange only masks.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

AnyTicket = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--ticket", metavar="FILE", envvar="DSLNODE_TICKET", help="Any ticket of the node's network, if it has one."
    ),
]


@app.command(cls=CommandHelp)
def status(
    address: Annotated[str, typer.Option(metavar="HOST:PORT", help="The node's --listen address.")] = "127.0.0.1:7711",
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every second until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with --watch one object a line.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.", min=0.1)] = 3.0,
    ticket: AnyTicket = None,
) -> None:
    """Ask a running node how it is: round, accuracy, neighbours, traffic."""
    from dslnode.cli.status import show_status

    with until_reader_leaves():
        show_status(address, watch=watch, as_json=as_json, timeout=timeout, ticket=ticket)


@app.command(cls=CommandHelp)
def ledger(
    address: Annotated[str, typer.Option(metavar="HOST:PORT", help="The node's --listen address.")] = "127.0.0.1:7711",
    state_dir: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="DIRECTORY", help="Read what a node has saved there, instead of asking one."),
    ] = None,
    per: Annotated[Period, typer.Option(help="Length of the periods.")] = Period.DAY,
    *,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.", min=0.1)] = 5.0,
    ticket: AnyTicket = None,
) -> None:
    """Show what a node sent and received, by day or hour (UTC), neighbour, direction and kind."""
    from dslnode.cli.ledger import OutputFormat, show_ledger

    if as_csv and as_json:
        raise SettingsError("--csv and --json exclude each other; give one of them")
    with until_reader_leaves():
        form = OutputFormat.CSV if as_csv else OutputFormat.JSON if as_json else OutputFormat.TABLE
        show_ledger(address, state_dir, per, form, timeout=timeout, ticket=ticket)


StateDirectoryOption = Annotated[
    Path, typer.Option("--state-dir", metavar="DIRECTORY", envvar="DSLNODE_STATE_DIR", help="The node's --state-dir.")
]


@app.command(cls=CommandHelp)
def rounds(
    state_dir: StateDirectoryOption,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the saved states and the best models of a node, with round and score."""
    from dslnode.cli.rounds import show_rounds

    with until_reader_leaves():
        show_rounds(state_dir, as_json=as_json)


@app.command(cls=CommandHelp)
def rollback(
    state_dir: StateDirectoryOption,
    to: Annotated[str, typer.Option(metavar="FILE", help="What to go back to, as dslnode rounds lists it.")] = "best",
) -> None:
    """Let a node that is stopped go on from its best model, or from another saved state."""
    from dslnode.cli.rounds import roll_back

    typer.echo(roll_back(state_dir, to))


@app.command(cls=CommandHelp)
def export(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write; of c, the directory.")
    ],
    state_dir: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--state-dir", metavar="DIRECTORY", help="Take the model from what a node has saved there."),
    ] = None,
    address: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="HOST:PORT", help="Take it from the node that runs there."),
    ] = None,
    *,
    form: Annotated[ModelFormat, typer.Option("--format", help="How to write it.")] = ModelFormat.DSLM,
    data: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Examples to try c, onnx and torch on, as --data of dslnode start; random ones without."),
    ] = None,
    which: Annotated[str, typer.Option("--round", metavar="best|last|N", help="Which of the saved models.")] = "best",
    seal: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--seal", metavar="TICKET", help="Sign the file with the key of this ticket."),
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.", min=0.1)] = 30.0,
    ticket: AnyTicket = None,
) -> None:
    """Write a personal model to a file: a seed and a mask, a few kilobytes."""
    from dslnode.cli.export import export_model

    typer.echo(
        export_model(
            output,
            state_dir=state_dir,
            address=address,
            which=which,
            form=form,
            data=data,
            ticket=ticket,
            timeout=timeout,
            seal=seal,
        )
    )


@app.command(cls=CommandHelp)
def freeze(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model: a name, or your own module:function.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")],
    weights: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Its weights as safetensors. Default: those that the function gives it."),
    ] = None,
    data: Annotated[str, typer.Option(help="Data of the shape that it is for, as --data of dslnode start.")] = "digits",
    leave_out: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(metavar="PATTERN", help="Parameters to leave out, such as a last layer for other classes."),
    ] = None,
) -> None:
    """Write a network's weights to a file for --frozen: nodes learn masks over them."""
    from dslnode.cli.freeze import freeze as write

    typer.echo(write(model, weights=weights, data=data, leave_out=leave_out or (), output=output))


@app.command(cls=CommandHelp)
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model's file, as dslnode export writes it.")],
    data: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="The examples: as --data of dslnode start, or - for CSV rows on standard input."),
    ] = None,
    form: Annotated[AnswerFormat, typer.Option("--format", help="How to print answers.")] = AnswerFormat.TABLE,
    score: Annotated[bool, typer.Option("--score", help="Judge the model by the targets in the data.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain-schema", help="Say which columns, units and kinds it expects, with an example.")
    ] = False,
) -> None:
    """Answer rows, images or windows with a personal model. Needs neither torch nor a node."""
    if explain:
        from dslnode.cli.explain_schema import explain_schema

        with until_reader_leaves():
            explain_schema(model, form)
        return
    if data is None:
        raise SettingsError("give --data, the examples to answer, or --explain-schema, which says what they look like")
    from dslnode.cli.predict import predict as answer

    with until_reader_leaves():
        answer(model, data=data, form=form, score=score)


@app.command(cls=CommandHelp)
def serve(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model's file, as dslnode export writes it.")],
    address: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where to answer. Beyond this machine a token or ticket is needed.")
    ] = "127.0.0.1:8711",
    *,
    token_file: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="A token that clients must send; not readable by all users."),
    ] = None,
    ticket: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Serve with mutual TLS: clients need a ticket of the same authority."),
    ] = None,
    max_body: Annotated[int, typer.Option(help="Bytes of a message.", min=1)] = DEFAULT_LIMITS.body_bytes,
    max_header: Annotated[int, typer.Option(help="Bytes of a request's head.", min=1_024)] = DEFAULT_LIMITS.head_bytes,
    max_rows: Annotated[int, typer.Option(help="Rows of a message.", min=1)] = DEFAULT_LIMITS.rows,
    max_clients: Annotated[int, typer.Option(help="Open connections.", min=1)] = DEFAULT_LIMITS.clients,
    timeout: Annotated[float, typer.Option(help="Seconds for a request to come.", min=0.1)] = DEFAULT_LIMITS.seconds,
) -> None:
    """Answer predictions of a model over HTTP until stopped. Needs neither torch nor a node."""
    from dslnode.cli.serve import serve_model
    from dslnode.serving.service import ServingOptions

    limits = Limits(head_bytes=max_header, body_bytes=max_body, rows=max_rows, clients=max_clients, seconds=timeout)
    options = ServingOptions(address=address, limits=limits, token_file=token_file, ticket=ticket)
    raise typer.Exit(serve_model(model, options))


@app.command(cls=CommandHelp)
def top(
    address: Annotated[str, typer.Option(metavar="HOST:PORT", help="Any node's --listen address.")] = "127.0.0.1:7711",
    as_json: Annotated[bool, typer.Option("--json", help="Print the network once as JSON.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each answer.", min=0.1)] = 2.0,
    ticket: AnyTicket = None,
) -> None:
    """Watch the whole network live, seen from any node.

    Rounds, accuracy, traffic and links of all. Keys: s sorts, r reverses, Enter opens a node, q quits.
    """
    from dslnode.cli.top import show_network

    with until_reader_leaves():
        show_network(address, as_json=as_json, timeout=timeout, ticket=ticket)


@app.command(cls=CommandHelp)
def demo(
    nodes: Annotated[int, typer.Option(min=2, max=20, help="How many daemons to start.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, max=10_000, help="Rounds that each node does.")] = 120,
    data: Annotated[str, typer.Option(help="Data set, as for dslnode start.")] = "digits",
    report: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Write the results as JSON."),
    ] = None,
) -> None:
    """Start several real daemons here, and watch them learn together.

    Each has few classes and few examples of its own.
    """
    from dslnode.cli.demo import run_demo

    run_demo(nodes, rounds, data, report)


def _show_version(value: bool) -> None:
    if value:
        from dslnode import __version__

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
    """Run the command line; errors that a user can fix are printed without a stack trace."""
    with process():
        app(prog_name="dslnode")
