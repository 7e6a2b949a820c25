"""Seals a model's file with the key of a ticket, and checks whose seal one has."""

from __future__ import annotations

from pathlib import Path

from dslnode.errors import ModelError, PeerError
from dslnode.inference.model_file import sealed, unpack_named, unsealed
from dslnode.inference.personal_model import Seal
from dslnode.security.credentials import Credentials
from dslnode.security.identity import Identity
from dslnode.security.ticket_keys import read_node_certificate, signed_by_ticket

DOMAIN = b"dslnode model 1\n"
"""What is signed begins so, lest a signature made for another purpose be taken for a seal."""


def with_seal(content: bytes, ticket: Path) -> bytes:
    """Return a packed file, sealed by the node of a ticket. Raises ``SettingsError`` if the ticket cannot be used."""
    bare = unsealed(content)
    return sealed(bare, Seal(*signed_by_ticket(Credentials(ticket, None).ticket, DOMAIN + bare)))


def check_seal(content: bytes, name: str, ticket: Path) -> Identity:
    """Return who has sealed a file, by the authority of a ticket. ``ModelError`` that names the file if nobody has."""
    seal, credentials = unpack_named(content, name).seal, Credentials(ticket, None)
    if seal is None:
        raise ModelError(f"{name}: has no seal; export it with --seal TICKET")
    try:
        certificate = read_node_certificate(seal.certificate, credentials.ticket.authority)
    except ValueError as error:
        raise ModelError(
            f"{name}: is sealed by a node of another authority than this ticket's; do not use it"
        ) from error
    if not certificate.has_signed(DOMAIN + unsealed(content), seal.signature):
        raise ModelError(f"{name}: was changed after {certificate.identity.name} sealed it; do not use it")
    try:
        credentials.check(certificate.identity)
    except PeerError as error:
        raise ModelError(f"{name}: its seal {error}; have it sealed again") from error
    return certificate.identity
