"""A node's ticket and its authority's revocation list as TLS contexts; read again when the files change."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from dslnode.errors import PeerError, SettingsError
from dslnode.security.certificates import identity_from_der, identity_from_pem, read_revocations
from dslnode.security.identity import Identity, Revocations, check_validity
from dslnode.security.ticket import Ticket, read_ticket
from dslnode.security.ticket_signature import check_settings_signature

GRPC = "h2"
"""What a connection is for, as TLS says it (ALPN)."""
REVOKED = "revoked.pem"
"""The name of the authority's list, for which a node looks beside its ticket."""


def utc_now() -> datetime:
    """Return the time by this board's clock, in UTC."""
    return datetime.now(UTC)


class Credentials:
    """The credentials of a node. Raises ``SettingsError`` if ticket or revocation list cannot be used.

    Without ``revoked`` the list is looked for beside the ticket, and may be missing. ``server`` and ``client`` are the
    contexts for the next handshakes; open connections keep theirs.
    """

    def __init__(self, ticket: Path, revoked: Path | None, now: Callable[[], datetime] = utc_now) -> None:
        self.now = now
        self._file = ticket
        self._revoked_file = revoked or ticket.with_name(REVOKED)
        self._list_required = revoked is not None
        self.revocations = Revocations()
        self._stamps: dict[Path, tuple[int, ...]] = {}
        self._read_ticket()
        self._read_list()

    def refresh(self) -> bool:
        """Read files again that have changed; return whether any has.

        Raises ``SettingsError`` if a file cannot be used now, and keeps what was read before.
        """
        changed = False
        for file, read in ((self._file, self._read_ticket), (self._revoked_file, self._read_list)):
            if self._stamps.get(file, ()) != _stamp(file):
                read()
                changed = True
        return changed

    def peer(self, connection: ssl.SSLObject | ssl.SSLSocket) -> Identity:
        """Return the identity of the other side after a handshake; ``PeerError`` if it is not valid."""
        der = connection.getpeercert(binary_form=True)
        try:
            identity = identity_from_der(der or b"")
        except ValueError as error:
            raise PeerError("no_certificate", f"presents a certificate that {error}") from error
        self.check(identity)
        return identity

    def check(self, identity: Identity) -> None:
        """Raise ``PeerError`` if a certificate is revoked or not valid now."""
        check_validity(identity, self.revocations, self.now())

    def _read_ticket(self) -> None:
        stamp = _stamp(self._file)
        ticket = read_ticket(self._file)
        try:
            identity = identity_from_pem(ticket.certificate)
            server = server_context(self._file, ticket)
            client = _context(ssl.PROTOCOL_TLS_CLIENT, self._file, ticket)
        except (ValueError, ssl.SSLError) as error:
            raise SettingsError(f"{self._file}: its key or a certificate is damaged; copy the ticket again") from error
        if (identity.key, identity.name) != (ticket.node_id, ticket.name):
            raise SettingsError(f"{self._file}: its certificate is another node's; copy the ticket again")
        self._check_same_node(ticket, identity)
        check_settings_signature(ticket, self._file)
        self.identity, self.ticket, self.server, self.client = identity, ticket, server, client
        self._stamps[self._file] = stamp

    def _check_same_node(self, ticket: Ticket, identity: Identity) -> None:
        former = getattr(self, "identity", identity)
        if former.node_id != identity.node_id:
            raise SettingsError(f"{self._file}: is now the ticket of another node, {ticket.name}; restart to become it")

    def _read_list(self) -> None:
        stamp = _stamp(self._revoked_file)
        if not stamp and not self._list_required:
            return
        revocations, former = read_revocations(self._revoked_file, self.ticket.authority), self.revocations
        if revocations.number < former.number:
            raise SettingsError(
                f"{self._revoked_file}: is list {revocations.number}, older than list {former.number} read before"
            )
        self.revocations = revocations
        self._stamps[self._revoked_file] = stamp


def server_context(file: Path, ticket: Ticket, protocol: str = GRPC) -> ssl.SSLContext:
    """Return a context that asks clients for a certificate of the ticket's authority and shows the ticket's own."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, file, ticket, protocol)
    context.num_tickets = 0  # no resumption: every connection proves its identity again
    return context


def _context(purpose: int, file: Path, ticket: Ticket, protocol: str = GRPC) -> ssl.SSLContext:
    """Return a context that trusts the ticket's authority alone and shows the ticket's certificate."""
    context = ssl.SSLContext(purpose)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=ticket.authority)
    context.load_cert_chain(file)
    context.set_alpn_protocols([protocol])
    return context


def _stamp(file: Path) -> tuple[int, ...]:
    """Return what changes when a file does; empty if there is none."""
    try:
        status = os.stat(file)
    except OSError:
        return ()
    return (status.st_ino, status.st_size, status.st_mtime_ns)
