"""The operator's certificate authority: its key, the certificates that it signed, and its revocation list.

It is a directory with ``authority.key`` (the secret on which the whole network rests), ``authority.pem``,
``nodes.json`` (what was issued to which node) and ``revoked.pem``. Nodes' keys are made here, go into their tickets,
and are not kept.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import BaseModel, Field, ValidationError

from dslnode.addresses import announceable
from dslnode.errors import SettingsError
from dslnode.security import signing
from dslnode.security.identity import NODE_ID_BYTES
from dslnode.security.secret_files import read_private, read_text, write_private, write_public
from dslnode.security.ticket import NAME, Ticket
from dslnode.security.ticket_signature import sign_settings

DEFAULT_DAYS = 365
AUTHORITY_DAYS = 3650
FIRST_PEERS = 5
"""Addresses of other nodes that a first ticket names as peers."""


class Issued(BaseModel):
    """The record of one node. ``serials`` are those of all its certificates, ``ends`` the end of the newest."""

    node_id: str
    serials: list[int]
    ends: datetime
    address: str = ""
    fingerprint: str = ""
    settings: dict[str, str] = Field(default_factory=dict)
    revoked: bool = False


class Records(BaseModel):
    """All records by node name. ``withdrawn`` are the revoked serials of names that were issued again."""

    run_id: str = Field(pattern=NAME)
    list_number: int = 0
    nodes: dict[str, Issued] = Field(default_factory=dict)
    withdrawn: list[int] = Field(default_factory=list)


class Authority:
    """The authority in a directory. Raises ``SettingsError`` if it cannot be read or written."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.pem = read_text(directory / "authority.pem")
        key = read_private(directory / "authority.key").encode()
        try:
            loaded = serialization.load_pem_private_key(key, password=None)
            self._certificate = x509.load_pem_x509_certificate(self.pem.encode())
            self.records = Records.model_validate_json(read_private(directory / "nodes.json"))
        except (ValueError, TypeError, ValidationError) as error:
            raise SettingsError(f"{directory}: its files are damaged; restore them from a copy") from error
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise SettingsError(f"{directory / 'authority.key'}: is no elliptic-curve key; it is not ours")
        self._key = loaded

    @classmethod
    def create(cls, directory: Path, run_id: str, now: datetime) -> Authority:
        """Make a new authority in a directory. An existing one is never overwritten."""
        with _as_settings_error(directory):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = signing.new_key()
        certificate = signing.authority_certificate(key, now, now + timedelta(days=AUTHORITY_DAYS))
        write_private(directory / "authority.key", signing.key_pem(key), replace=False)
        write_public(directory / "authority.pem", signing.certificate_pem(certificate), replace=False)
        write_private(directory / "nodes.json", Records(run_id=run_id).model_dump_json(indent=2), replace=False)
        authority = cls(directory)
        authority._write_revocations(now)
        return authority

    @property
    def revocation_file(self) -> Path:
        """The revocation list, as nodes are given it with ``--revoked``."""
        return self._directory / "revoked.pem"

    def issue(
        self,
        name: str,
        now: datetime,
        days: int,
        *,
        address: str = "",
        fingerprint: str = "",
        settings: Mapping[str, str] | None = None,
    ) -> Ticket:
        """Return the first ticket of a node, with a new node id. A name in use is an error unless it is revoked."""
        former = self.records.nodes.get(name)
        if former is not None and not former.revoked:
            raise SettingsError(f"{name} has a ticket already; `dslnode ca renew {name}`, or revoke it first")
        if former is not None:
            self.records.withdrawn += former.serials
        defaults = {"listen": _listen(address), **({"advertise": address} if address else {})}
        issued = [node for node in self.records.nodes.values() if not node.revoked]
        peers = [node.address for node in issued if announceable(node.address)]
        if peers:
            defaults["peers"] = ",".join(peers[-FIRST_PEERS:])
        self.records.nodes[name] = Issued(
            node_id=secrets.token_hex(NODE_ID_BYTES),
            serials=[],
            ends=now,
            address=address,
            fingerprint=fingerprint,
            settings={**defaults, **(settings or {})},
        )
        return self.renew(name, now, days)

    def renew(self, name: str, now: datetime, days: int) -> Ticket:
        """Return a new ticket for a node: new key, certificate and signature, the same node id and settings."""
        node = self._issued(name)
        if node.revoked:
            raise SettingsError(f"{name} is revoked; `dslnode ca issue {name}` makes a new node of this name")
        key = signing.new_key()
        ends = min(now + timedelta(days=days), self._certificate.not_valid_after_utc)
        certificate = signing.node_certificate(
            (self._certificate, self._key), key.public_key(), (name, node.node_id), now, ends
        )
        node.serials.append(certificate.serial_number)
        node.ends = ends
        self._save()
        ticket = Ticket(
            name=name,
            node_id=node.node_id,
            run_id=self.records.run_id,
            fingerprint=node.fingerprint,
            certificate=signing.certificate_pem(certificate),
            key=signing.key_pem(key),
            authority=self.pem,
            settings=node.settings,
        )
        return sign_settings(ticket, self._key)

    def revoke(self, name: str, now: datetime) -> None:
        """Revoke all certificates of a node and sign a new revocation list."""
        self._issued(name).revoked = True
        self._write_revocations(now)

    def _issued(self, name: str) -> Issued:
        if name not in self.records.nodes:
            raise SettingsError(f"{self._directory}: knows no node {name}; `dslnode ca list` shows all")
        return self.records.nodes[name]

    def _write_revocations(self, now: datetime) -> None:
        serials = [serial for node in self.records.nodes.values() if node.revoked for serial in node.serials]
        self.records.list_number += 1
        self._save()
        signed = signing.revocation_list(
            (self._certificate, self._key), self.records.list_number, [*serials, *self.records.withdrawn], now
        )
        write_public(self.revocation_file, signed, replace=True)

    def _save(self) -> None:
        write_private(self._directory / "nodes.json", self.records.model_dump_json(indent=2), replace=True)


def _listen(address: str) -> str:
    port = address.rpartition(":")[2] or "7711"
    return f"[::]:{port}" if address.startswith("[") else f"0.0.0.0:{port}"


@contextmanager
def _as_settings_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(f"{path}: cannot be used ({error.strerror or error})") from error


def utc_now() -> datetime:
    """Return the time in UTC to the second, which is the resolution of certificates."""
    return datetime.now(UTC).replace(microsecond=0)
