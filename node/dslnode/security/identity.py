"""The identity in a certificate, and whether it is valid now: values and checks, no I/O.

A node's certificate is signed by the operator's authority. It has the node id as the URI ``dslnode:ID`` and the node's
name as the common name. The host name is ``dslnode`` in all of them, because nodes move between addresses.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dslnode.errors import PeerError

NODE_ID_BYTES = 16
URI_SCHEME = "dslnode:"
SERVER_NAME = "dslnode"
SOON = timedelta(days=30)
"""The longest time before its end at which a certificate counts as expiring."""


@dataclass(frozen=True)
class Identity:
    """What a certificate says of a node. Times are in UTC."""

    node_id: bytes
    name: str
    serial: int  # number of the certificate
    not_before: datetime
    not_after: datetime

    @property
    def key(self) -> str:
        """The node id in hex: the key of this node everywhere else in the daemon."""
        return self.node_id.hex()

    def is_expiring(self, now: datetime) -> bool:
        """Return whether the certificate ends within ``SOON`` and within the last third of its life."""
        return self.not_after - now < min(SOON, (self.not_after - self.not_before) / 3)


@dataclass(frozen=True)
class Revocations:
    """A revocation list: serials of revoked certificates. ``number`` grows with every list that is signed."""

    number: int = 0
    serials: frozenset[int] = frozenset()


def node_id_of(uris: list[str]) -> bytes:
    """Return the node id in a certificate's URIs; ``ValueError`` unless there is exactly one."""
    named = [uri.removeprefix(URI_SCHEME) for uri in uris if uri.startswith(URI_SCHEME)]
    if len(named) != 1:
        raise ValueError(f"names {len(named)} node ids instead of one")
    node_id = bytes.fromhex(named[0])
    if len(node_id) != NODE_ID_BYTES or node_id.hex() != named[0]:
        raise ValueError(f"names {named[0]!r}, which is no node id")
    return node_id


def check_validity(identity: Identity, revoked: Revocations, now: datetime) -> None:
    """Raise ``PeerError`` if the certificate is revoked, expired or not valid yet, by this node's clock."""
    if identity.serial in revoked.serials:
        raise PeerError("revoked", f"presents the certificate of {identity.name}, which the authority has revoked")
    if now >= identity.not_after:
        raise PeerError(
            "expired", f"presents a certificate that ended on {format_day(identity.not_after)} ({clock_hint(now)})"
        )
    if now < identity.not_before:
        begins = format_day(identity.not_before)
        raise PeerError("not_yet_valid", f"presents a certificate valid from {begins} ({clock_hint(now)})")


def check_claimed_identity(identity: Identity, node_id: bytes, name: str) -> None:
    """Raise ``PeerError`` if node id or name in a hello are not those of the certificate."""
    if node_id != identity.node_id:
        raise PeerError(
            "identity", f"says it is node {node_id.hex()[:8]}, but its certificate is that of {identity.key[:8]}"
        )
    if name != identity.name:
        raise PeerError("identity", f"says its name is {name!r}, but its certificate is that of {identity.name!r}")


def format_day(moment: datetime) -> str:
    """Return the day of a moment in UTC, for people."""
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def clock_hint(now: datetime) -> str:
    """Return the day by this board's clock, with a hint: many boards have no battery for it."""
    return f"this board's clock says {format_day(now)}; is it right?"
