"""Who a certificate speaks for, and whether that may be believed now: values and checks, without any input.

A node's certificate is signed by the operator's network authority. It names the node id as the URI ``dslnode:ID`` and
the node's name as the common name; every one of them names the host ``dslnode``, since boards move between addresses.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dslnode.errors import PeerError

NODE_ID_BYTES = 16
URI_SCHEME = "dslnode:"
SERVER_NAME = "dslnode"
SOON = timedelta(days=30)
"""The longest time before its end at which a certificate is said to expire soon."""


@dataclass(frozen=True)
class Identity:
    """What the authority says of a node. Times are in UTC; ``serial`` is the certificate's number."""

    node_id: bytes
    name: str
    serial: int
    begins: datetime
    ends: datetime

    @property
    def key(self) -> str:
        """The node id as text, as the rest of the daemon writes it."""
        return self.node_id.hex()

    def is_expiring(self, now: datetime) -> bool:
        """Return whether the certificate ends soon: within ``SOON``, or within the last third of its life."""
        return self.ends - now < min(SOON, (self.ends - self.begins) / 3)


@dataclass(frozen=True)
class Revocations:
    """Serial numbers that the authority has taken back; ``number`` grows with every list that it signs."""

    number: int = 0
    serials: frozenset[int] = frozenset()


def node_id_of(uris: list[str]) -> bytes:
    """Return the node id that a certificate's URIs name; ``ValueError`` unless there is exactly one."""
    named = [uri.removeprefix(URI_SCHEME) for uri in uris if uri.startswith(URI_SCHEME)]
    if len(named) != 1:
        raise ValueError(f"names {len(named)} node ids instead of one")
    node_id = bytes.fromhex(named[0])
    if len(node_id) != NODE_ID_BYTES or node_id.hex() != named[0]:
        raise ValueError(f"names {named[0]!r}, which is no node id")
    return node_id


def check_validity(identity: Identity, revoked: Revocations, now: datetime) -> None:
    """Raise ``PeerError`` if the certificate is revoked, or its time has not come or is over by this node's clock."""
    if identity.serial in revoked.serials:
        raise PeerError("revoked", f"presents the certificate of {identity.name}, which the authority has revoked")
    if now >= identity.ends:
        raise PeerError("expired", f"presents a certificate that ended on {day(identity.ends)} ({clock(now)})")
    if now < identity.begins:
        raise PeerError("not_yet_valid", f"presents a certificate valid from {day(identity.begins)} ({clock(now)})")


def check_claimed_identity(identity: Identity, node_id: bytes, name: str) -> None:
    """Raise ``PeerError`` if a neighbour introduces itself as somebody other than its certificate says."""
    if node_id != identity.node_id:
        raise PeerError(
            "identity", f"says it is node {node_id.hex()[:8]}, but its certificate is that of {identity.key[:8]}"
        )
    if name != identity.name:
        raise PeerError("identity", f"says its name is {name!r}, but its certificate is that of {identity.name!r}")


def day(moment: datetime) -> str:
    """Return a moment's day for people."""
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def clock(now: datetime) -> str:
    """Return what the clock says, with the hint that boards without a battery for it need."""
    return f"this board's clock says {day(now)}; is it right?"
