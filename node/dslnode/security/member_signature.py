"""Signatures of member records: each node signs what it says of itself with the key of its ticket.

So no node can speak of another. A record comes with the certificate of its node, once per link; from then on the
certificate is known by the node's id.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from dslnode.errors import PeerError
from dslnode.protocol.membership import MAX_MEMBERS, MemberRecord
from dslnode.security.credentials import Credentials
from dslnode.security.ticket import Ticket
from dslnode.security.ticket_keys import NodeCertificate, read_node_certificate, signed_by_ticket

DOMAIN = b"dslnode member record 1\n"
"""What is signed begins so, lest a signature made for another purpose be taken for one of a record."""
MAX_KNOWN = 2 * MAX_MEMBERS
"""Certificates, and records, whose signatures need not be checked again."""


@dataclass(frozen=True)
class _Own:
    """The record of this node that was signed last, and the ticket that it was signed with."""

    ticket: Ticket
    record: MemberRecord
    signed: MemberRecord


class MemberSignatures:
    """Signs the records of a node, and checks those of others, for one run and by one authority."""

    def __init__(self, credentials: Credentials, run_id: str) -> None:
        self._credentials = credentials
        self._run = run_id.encode()
        self._certificates: dict[str, NodeCertificate] = {}  # by node id in hex
        self._own: _Own | None = None
        self._checked: dict[bytes, None] = {}  # digests of records that are as their node signed them

    def sign(self, record: MemberRecord) -> MemberRecord:
        """Return this node's own record with signature and certificate. The last one is not signed again."""
        ticket = self._credentials.ticket
        if self._own is not None and (self._own.ticket is ticket and self._own.record == record):
            return self._own.signed
        signature, certificate = signed_by_ticket(ticket, self._signed(record))
        signed = replace(record, signature=signature, certificate=certificate)
        self._own = _Own(ticket, record, signed)
        return signed

    def check(self, record: MemberRecord) -> MemberRecord | None:
        """Return a record, with its certificate, if its node has signed it.

        None if its certificate is not known, or not valid now: the neighbour who passed it on need not know that.
        Raises ``PeerError`` for a signature that is missing or wrong, and for a certificate that is not its node's.
        """
        known = self._certificates.get(record.key)
        if record.certificate and (known is None or known.der != record.certificate):
            known = self._certificate(record)
        if known is None:
            return None
        complete = replace(record, certificate=known.der)
        self._check_signature(complete, known)
        try:
            self._credentials.check(known.identity)
        except PeerError:
            return None
        return complete

    def _check_signature(self, record: MemberRecord, certificate: NodeCertificate) -> None:
        content = self._signed(record)
        digest = hashlib.blake2b(content + record.signature + record.certificate, digest_size=16).digest()
        if digest in self._checked:
            return
        if not certificate.has_signed(content, record.signature):
            raise PeerError("forged", f"sent a record of {record.name!r} that this node has not signed")
        _remember(self._checked, digest, None)

    def _certificate(self, record: MemberRecord) -> NodeCertificate:
        """Return the certificate that came with a record, which is known from now on."""
        try:
            found = read_node_certificate(record.certificate, self._credentials.ticket.authority)
        except ValueError as error:
            raise PeerError("forged", "sent a member record with a certificate of another authority") from error
        if (found.identity.key, found.identity.name) != (record.key, record.name):
            raise PeerError(
                "forged", f"sent a record of {record.name!r} with the certificate of {found.identity.name!r}"
            )
        _remember(self._certificates, record.key, found)
        return found

    def _signed(self, record: MemberRecord) -> bytes:
        return DOMAIN + self._run + b"\n" + record.content()


def _remember(known: dict[Any, Any], key: object, value: object) -> None:
    """Keep the newest ``MAX_KNOWN`` entries."""
    known.pop(key, None)
    if len(known) >= MAX_KNOWN:
        del known[next(iter(known))]
    known[key] = value
