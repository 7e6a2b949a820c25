"""The command line. torch and grpc are imported by the commands that need them, so that ``--help`` is instant."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Optional

import typer

from dslnode.accounting.ledger import Period
from dslnode.cli import ca, data
from dslnode.cli import model as model_files
from dslnode.cli.formats import AnswerFormat, ModelFormat
from dslnode.cli.help import CommandHelp, GroupHelp
from dslnode.cli.options import with_settings
from dslnode.config.loader import LoadedSettings
from dslnode.config.serving_limits import DEFAULT_LIMITS, Limits
from dslnode.errors import DslnodeError, ExitCode, SettingsError

app = typer.Typer(
    name="dslnode",
    cls=GroupHelp,
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


def bound_matrix_threads(count: int) -> None:
    """Let numpy multiply in so many threads, before it is loaded, unless the user has chosen.

    By default it takes all processors. Its threads wait for each other in a loop, so that beside other work a
    prediction takes 30 ms instead of 1.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(count))


def start(loaded: LoadedSettings) -> None:
    """Run one node until it is stopped, or for --rounds N."""
    endings = {signal.SIGHUP: ExitCode.HANGUP, signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}
    for number, code in endings.items():
        signal.signal(number, lambda *_, code=code: os._exit(code))  # while torch loads; process 1 has no default
    bound_matrix_threads(loaded.settings.threads)
    from dslnode.cli.node_process import run_process

    run_process(loaded.settings)


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
    with _until_reader_leaves():
        sys.stdout.write(toml.settings_as_toml(loaded))


app.command("config", cls=CommandHelp)(with_settings(config))
app.add_typer(ca.app, name="ca")
app.add_typer(data.app, name="data")
app.add_typer(model_files.app, name="model")


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

    with _until_reader_leaves():
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
    with _until_reader_leaves():
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

    with _until_reader_leaves():
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
        typer.Option(help="Examples to try c and onnx on, as --data of dslnode start; random ones without."),
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
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model's file, as dslnode export writes it.")],
    data: Annotated[
        str, typer.Option(help="The examples: as --data of dslnode start, or - for CSV rows on standard input.")
    ],
    form: Annotated[AnswerFormat, typer.Option("--format", help="How to print answers.")] = AnswerFormat.TABLE,
    score: Annotated[bool, typer.Option("--score", help="Judge the model by the targets in the data.")] = False,
) -> None:
    """Answer rows, images or windows with a personal model. Needs neither torch nor a node."""
    from dslnode.cli.predict import predict as answer

    with _until_reader_leaves():
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
    bound_matrix_threads(1)
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

    with _until_reader_leaves():
        show_network(address, as_json=as_json, timeout=timeout, ticket=ticket)


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


@app.command(cls=CommandHelp)
def demo(
    nodes: Annotated[int, typer.Option(min=2, max=20, help="How many daemons to start.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, max=10_000, help="Rounds that each node does.")] = 40,
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
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read at import; what matters of the network is in our own log
    for variable in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):  # read at import; of other programs
        os.environ.pop(variable, None)
    if os.getcwd() not in sys.path:  # at the end, so that no stray file there replaces an installed module
        sys.path.append(os.getcwd())
    try:
        app(prog_name="dslnode")
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
