"""Looks at a ticket for ``dslnode doctor``: takes it as the daemon does, and shakes hands with itself."""

from __future__ import annotations

from pathlib import Path

from dslnode.cli.doctor.ticket_checks import TicketFacts
from dslnode.errors import SettingsError
from dslnode.security.credentials import Credentials
from dslnode.security.self_test import try_handshake


def look_at_ticket(ticket: Path | None, revoked: Path | None, unusable: str = "") -> TicketFacts | None:
    """Return what the ticket is, None if there is none. ``unusable`` is what loading the settings said of it."""
    if unusable:
        return TicketFacts("", unusable)
    if ticket is None:
        return None
    try:
        credentials = Credentials(ticket, revoked)
    except SettingsError as error:
        return TicketFacts(str(ticket), str(error))
    return TicketFacts(str(ticket), "", credentials.identity, credentials.revocations, try_handshake(credentials))
