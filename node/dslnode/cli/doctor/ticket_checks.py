"""Whether a node's ticket is good for anything: facts in, findings out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dslnode.cli.doctor.findings import Finding, from_error, ok, problem, warning
from dslnode.errors import PeerError
from dslnode.security.identity import Identity, Revocations, check_validity, clock_hint, format_day

CHECK = "ticket"
RENEW = "`dslnode ca renew {name}` where the authority is, and copy the new ticket over this one"

NO_LIST = Revocations()


@dataclass(frozen=True)
class TicketFacts:
    """A ticket as it lies there. ``unusable`` says why it cannot be taken, ``handshake`` why TLS with it fails."""

    file: str
    unusable: str = ""
    identity: Identity | None = None
    revocations: Revocations = NO_LIST
    handshake: str = ""


def check_ticket(found: TicketFacts | None, name: str, now: datetime, *, exposed: str, insecure: bool) -> list[Finding]:
    """Return what is to be said of the ticket, or of having none. ``exposed`` is why the node may not start so."""
    if exposed:
        return [from_error(CHECK, exposed)]
    if found is None:
        return [_check_none(insecure=insecure)]
    if found.identity is None:
        return [from_error(CHECK, found.unusable)]
    return [_check_identity(found, found.identity, name, now)]


def check_network(expected: str, built: str) -> list[Finding]:
    """Return a problem if the ticket names another frozen network (as hex) than the one that this node builds."""
    if not expected or expected == built:
        return []
    fix = "use the --model, --seed and shape of --data that the ticket was made for"
    return [problem(CHECK, f"it is for the frozen network {expected}, and this node builds {built}", fix)]


def _check_none(*, insecure: bool) -> Finding:
    if insecure:
        fix = "make one with `dslnode ca issue NAME`, start with --ticket FILE, and leave --insecure out"
        return warning(CHECK, "none: neighbours are not known, and nothing is encrypted (--insecure)", fix)
    return ok(CHECK, "none, and none is needed: this node talks with this machine alone")


def _check_identity(found: TicketFacts, identity: Identity, name: str, now: datetime) -> Finding:
    renew = RENEW.format(name=identity.name)
    if identity.name != name:
        return problem(CHECK, f"{found.file} is the ticket of {identity.name!r}, not {name!r}", "leave --name out")
    try:
        check_validity(identity, found.revocations, now)
    except PeerError as error:
        return _fallen(error, identity, now)
    if found.handshake:
        what = f"{found.file}: TLS fails with it ({found.handshake})"
        return problem(CHECK, what, f"copy the ticket again; else {renew}")
    if identity.is_expiring(now):
        return warning(
            CHECK, f"it ends on {format_day(identity.not_after)}, in {(identity.not_after - now).days} days", renew
        )
    number = found.revocations.number
    known = f"revocation list {number}" if number else "no revocation list is there"
    return ok(CHECK, f"{identity.name!r} by {found.file} until {format_day(identity.not_after)}; {known}")


def _fallen(error: PeerError, identity: Identity, now: datetime) -> Finding:
    """Return what to do about a ticket that no neighbour believes."""
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
