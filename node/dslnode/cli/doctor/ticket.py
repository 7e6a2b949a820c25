"""The node's ticket: opened as the daemon opens it, tried in a TLS handshake with itself, and checked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dslnode.cli.doctor.findings import Finding, from_error, ok, problem, warning
from dslnode.errors import PeerError, SettingsError
from dslnode.security.credentials import Credentials
from dslnode.security.identity import Identity, Revocations, check_validity, clock_hint, format_day
from dslnode.security.self_test import try_handshake

CHECK = "ticket"
RENEW = "`dslnode ca renew {name}` where the authority is, and copy the new ticket over this one"

NO_REVOCATIONS = Revocations()


@dataclass(frozen=True)
class TicketFacts:
    """A ticket as it was found. ``load_error`` says why it cannot be used, ``tls_error`` why TLS with it fails."""

    file: str
    load_error: str = ""
    identity: Identity | None = None
    revocations: Revocations = NO_REVOCATIONS
    tls_error: str = ""


def probe_ticket(ticket: Path | None, revoked: Path | None, settings_error: str = "") -> TicketFacts | None:
    """Open the ticket; None without one. ``settings_error`` is why loading the settings could not use it."""
    if settings_error:
        return TicketFacts("", settings_error)
    if ticket is None:
        return None
    try:
        credentials = Credentials(ticket, revoked)
    except SettingsError as error:
        return TicketFacts(str(ticket), str(error))
    return TicketFacts(str(ticket), "", credentials.identity, credentials.revocations, try_handshake(credentials))


def check_ticket(
    ticket: TicketFacts | None, name: str, now: datetime, *, exposed: str, insecure: bool
) -> list[Finding]:
    """Check the ticket, or the lack of one. ``exposed`` is why the node may not start without one."""
    if exposed:
        return [from_error(CHECK, exposed)]
    if ticket is None:
        return [_check_missing(insecure=insecure)]
    if ticket.identity is None:
        return [from_error(CHECK, ticket.load_error)]
    return [_check_identity(ticket, ticket.identity, name, now)]


def check_network(expected: str, built: str) -> list[Finding]:
    """Return a problem if the ticket names another frozen network (fingerprints in hex) than this node builds."""
    if not expected or expected == built:
        return []
    fix = "use the --model, --seed and shape of --data that the ticket was made for"
    return [problem(CHECK, f"it is for the frozen network {expected}, and this node builds {built}", fix)]


def _check_missing(*, insecure: bool) -> Finding:
    if insecure:
        fix = "make one with `dslnode ca issue NAME`, start with --ticket FILE, and leave --insecure out"
        return warning(CHECK, "none: neighbours are not known, and nothing is encrypted (--insecure)", fix)
    return ok(CHECK, "none, and none is needed: this node talks with this machine alone")


def _check_identity(ticket: TicketFacts, identity: Identity, name: str, now: datetime) -> Finding:
    renew = RENEW.format(name=identity.name)
    if identity.name != name:
        return problem(CHECK, f"{ticket.file} is the ticket of {identity.name!r}, not {name!r}", "leave --name out")
    try:
        check_validity(identity, ticket.revocations, now)
    except PeerError as error:
        return _invalid_ticket(error, identity, now)
    if ticket.tls_error:
        what = f"{ticket.file}: TLS fails with it ({ticket.tls_error})"
        return problem(CHECK, what, f"copy the ticket again; else {renew}")
    if identity.is_expiring(now):
        return warning(
            CHECK, f"it ends on {format_day(identity.not_after)}, in {(identity.not_after - now).days} days", renew
        )
    number = ticket.revocations.number
    revocations = f"revocation list {number}" if number else "no revocation list is there"
    return ok(CHECK, f"{identity.name!r} by {ticket.file} until {format_day(identity.not_after)}; {revocations}")


def _invalid_ticket(error: PeerError, identity: Identity, now: datetime) -> Finding:
    """Return the finding, with its fix, of a ticket that no neighbour accepts."""
    match error.reason:
        case "revoked":
            fix = f"if that was a mistake, `dslnode ca issue {identity.name}-again` and use that ticket instead"
            return problem(CHECK, f"the authority has revoked the ticket of {identity.name!r}", fix)
        case "expired":
            return problem(
                CHECK,
                f"it ended on {format_day(identity.not_after)}; {clock_hint(now)}",
                RENEW.format(name=identity.name),
            )
        case _:
            what = f"it is not valid before {format_day(identity.not_before)}; {clock_hint(now)}"
            return problem(CHECK, what, "set the clock here, or look at that of the machine that made the ticket")
