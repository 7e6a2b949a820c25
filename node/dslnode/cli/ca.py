"""Commands of the operator's network authority: ``dslnode ca init``, ``issue``, ``renew``, ``revoke``, ``list``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Optional

import typer

from dslnode.addresses import check_address
from dslnode.cli.help import GroupHelp
from dslnode.errors import SettingsError
from dslnode.security.ticket import FINGERPRINT

DAYS = 365
MAX_TICKET_SCHEMA = 2**19

app = typer.Typer(
    name="ca",
    cls=GroupHelp,
    help="Make and manage a network: its authority, and one ticket for each node.",
    no_args_is_help=True,
)

Directory = Annotated[
    Path, typer.Option("--dir", metavar="DIR", help="Directory of the authority; keep it off the boards, with a copy.")
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the node.")]
Days = Annotated[int, typer.Option(min=1, max=3650, help="Days until the ticket has to be renewed.")]
Out = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(metavar="FILE", help="Where to write the ticket. Default: NAME.ticket here."),
]
DIRECTORY = Path("dslnode-authority")
Origin = tuple[str, str]
"""A setting's value as text, and where it was given."""


@app.command()
def init(
    directory: Directory = DIRECTORY,
    run_id: Annotated[str, typer.Option(help="Name of the run that tickets are for.")] = "default",
) -> None:
    """Make a new network authority. An existing one is never overwritten."""
    from dslnode.security.authority import Authority, utc_now

    _checked_settings([], run_id=(run_id, "--run-id"))
    Authority.create(directory, run_id, utc_now())
    typer.echo(f"{directory}: a new authority. Anyone who can read it can make tickets: keep it safe, and keep a copy.")


@app.command()
def issue(
    name: Name,
    *,
    directory: Directory = DIRECTORY,
    address: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where others can dial this node, if any.")] = "",
    peers: Annotated[str, typer.Option(metavar="HOST:PORT,...", help="Default: nodes with an address so far.")] = "",
    settings: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", metavar="KEY=VALUE", help="A setting for the node; may be repeated."),
    ] = None,
    fingerprint: Annotated[
        str, typer.Option(metavar="HEX", help="Frozen network that the node must build; a node logs it at its start.")
    ] = "",
    days: Days = DAYS,
    out: Out = None,
) -> None:
    """Make the ticket of a new node: one file, the only one that a board needs: `dslnode start --ticket FILE`.

    Example: dslnode ca issue board-7 --address 10.0.0.7:7711 --set data=idx:/data/fashion-mnist --set share=7/20
    """
    from dslnode.security.authority import Authority, utc_now

    others = {"peers": (peers, "--peers")} if peers else {}
    valid = _checked_settings(settings or [], others, name=(name, "NAME"))
    if address:
        _check_address(address)
    if not re.fullmatch(FINGERPRINT, fingerprint):
        raise SettingsError(f"--fingerprint {fingerprint}: is not 32 hex digits, as a node logs them at its start")
    file = _new_file(out, name)
    ticket = Authority(directory).issue(name, utc_now(), days, address=address, fingerprint=fingerprint, settings=valid)
    _write(file, ticket, replace=False)
    _note_code(valid)


@app.command()
def renew(name: Name, directory: Directory = DIRECTORY, days: Days = DAYS, out: Out = None) -> None:
    """Make a new ticket for a node, with the same node id. A running daemon reloads the file when it changes."""
    from dslnode.security.authority import Authority, utc_now

    _write(out or Path(f"{name}.ticket"), Authority(directory).renew(name, utc_now(), days), replace=True)


@app.command()
def revoke(name: Name, directory: Directory = DIRECTORY) -> None:
    """Revoke all tickets of a node, and write the revocation list for all other boards."""
    from dslnode.security.authority import Authority, utc_now

    authority = Authority(directory)
    authority.revoke(name, utc_now())
    typer.echo(f"{name} is revoked. Copy {authority.revocation_file} beside the ticket of every other board.")


@app.command("list")
def show(directory: Directory = DIRECTORY) -> None:
    """Show all nodes with node id, address and expiry."""
    from dslnode.security.authority import Authority, utc_now

    now = utc_now()
    for name, node in sorted(Authority(directory).records.nodes.items()):
        left = (node.ends - now).days
        state = "revoked" if node.revoked else f"ends {node.ends:%Y-%m-%d} ({left} days)"
        typer.echo(f"{name:24} {node.node_id}  {node.address or '-':22} {state}")


def _checked_settings(
    given: list[str], others: Mapping[str, Origin] = MappingProxyType({}), **fixed: Origin
) -> dict[str, str]:
    """Return the settings of a ticket, ``given`` and others, checked as a start checks them. Raises ``SettingsError``.

    ``fixed`` are checked with them, and no settings of a ticket.
    """
    from dslnode.config.loader import NOT_IN_TICKETS, check_given

    pairs = [setting.partition("=") for setting in given]
    for key, equals, value in pairs:
        if not equals or key.replace("-", "_") in {"name", "run_id", *NOT_IN_TICKETS}:
            raise SettingsError(f"--set {key}: is not KEY=VALUE of a setting that a ticket may give")
        if not value.isprintable():
            raise SettingsError(f"--set {key}: has characters that are not printable text; write it without them")
    chosen = {key.replace("-", "_"): (value, f"--set {key}") for key, _, value in pairs} | dict(others)
    check_given({**chosen, **fixed}, "--set")
    settings = {key: value for key, (value, _) in chosen.items()}
    if settings.get("schema"):
        from dslnode.data.schema_file import schema_file_text

        settings["schema"] = schema_file_text(Path(settings["schema"]))
        if len(settings["schema"]) > MAX_TICKET_SCHEMA:
            raise SettingsError(
                f"--set schema: has over {MAX_TICKET_SCHEMA} characters, too many for a ticket;"
                " copy the file to the board, and give it --schema there"
            )
    return settings


def _note_code(settings: dict[str, str]) -> None:
    from dslnode.config.loader import CODE_SETTINGS, names_code

    for field in CODE_SETTINGS:
        if names_code(field, settings.get(field, "")):
            value = settings[field]
            typer.echo(
                f"{field} = {value} names code: the board needs --{field} {value} itself, or --allow-code-from-ticket",
                err=True,
            )


def _check_address(address: str) -> None:
    try:
        check_address(address)
    except ValueError as error:
        raise SettingsError(f"--address: {error}") from error


def _new_file(out: Path | None, name: str) -> Path:
    """Return the path for a ticket; ``SettingsError`` if it exists, before anything is issued."""
    file = out or Path(f"{name}.ticket")
    if file.exists():
        raise SettingsError(f"{file}: exists already and is not overwritten; move it away first")
    return file


def _write(file: Path, ticket: object, *, replace: bool) -> None:
    from dslnode.security.secret_files import write_private
    from dslnode.security.ticket import Ticket, ticket_text

    assert isinstance(ticket, Ticket)
    write_private(file, ticket_text(ticket), replace=replace)
    typer.echo(f"{file}: the ticket of {ticket.name}, node {ticket.node_id}. It holds a private key.")
