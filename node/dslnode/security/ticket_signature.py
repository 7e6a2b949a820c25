"""The authority's signature over what a ticket has a node do: its settings, bound to the certificate beside them.

It proves that the ticket is as its authority made it. It does not prove that the authority is the operator's: whoever
can write the whole ticket can bring an authority along.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from dslnode.errors import SettingsError
from dslnode.security.certificates import authority_key, load_certificate
from dslnode.security.ticket import Ticket

DOMAIN = b"dslnode ticket settings 1\n"
"""What is signed begins so, lest a signature made for another purpose be taken for one of a ticket."""


def sign_settings(ticket: Ticket, key: ec.EllipticCurvePrivateKey) -> Ticket:
    """Return the ticket with the signature of its authority's key. ``ValueError`` if its certificate is none."""
    signature = key.sign(signed_content(ticket), ec.ECDSA(hashes.SHA256()))
    return ticket.model_copy(update={"signature": base64.b64encode(signature).decode()})


def check_settings_signature(ticket: Ticket, file: Path) -> None:
    """Raise ``SettingsError``, naming the file, unless the ticket's own authority has signed its settings.

    A ticket without settings needs no signature.
    """
    renew = f"`dslnode ca renew {ticket.name}` where the authority is, and copy the new ticket over this one"
    if not ticket.signature:
        if not ticket.settings:
            return
        raise SettingsError(f"{file}: has settings without a signature, as those of earlier releases; {renew}")
    try:
        key = authority_key(ticket.authority)
        content = signed_content(ticket)
    except ValueError as error:
        raise SettingsError(f"{file}: its key or a certificate is damaged; copy the ticket again") from error
    try:
        key.verify(base64.b64decode(ticket.signature, validate=True), content, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError) as error:
        raise SettingsError(
            f"{file}: has other settings than its authority signed; copy the ticket again, or {renew}"
        ) from error


def signed_content(ticket: Ticket) -> bytes:
    """Return the bytes that are signed; ``ValueError`` if the ticket's certificate is none."""
    certificate = load_certificate(ticket.certificate)
    fields = {
        "certificate": certificate.fingerprint(hashes.SHA256()).hex(),
        "fingerprint": ticket.fingerprint,
        "name": ticket.name,
        "node_id": ticket.node_id,
        "run_id": ticket.run_id,
        "settings": ticket.settings,
    }
    return DOMAIN + json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
