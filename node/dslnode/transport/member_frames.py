"""Member records to frames and back. Every bound is checked before a record is kept or an address dialled."""

from __future__ import annotations

from collections.abc import Callable

from dslnode.addresses import announceable, check_address
from dslnode.errors import PeerError
from dslnode.protocol.membership import (
    MAX_PROVEN,
    MAX_RECORDS,
    MAX_VERSION,
    PROOF_BYTES,
    MemberRecord,
    MembershipUpdate,
)
from dslnode.transport.handshake import MAX_TEXT, NODE_ID_BYTES
from dslnode.v1 import node_pb2 as pb

RecordCheck = Callable[[MemberRecord], MemberRecord | None]
"""Returns a record as it may be kept, or None; raises ``PeerError`` if it is forged."""
MAX_NAME = 64
MAX_NEIGHBOURS = 100
MAX_SIGNATURE = 80
"""Bytes of an ECDSA signature on P-256 in DER; 72 is the most there are."""
MAX_CERTIFICATE = 2_048
"""Bytes. Ours have about 500."""


def members_frame(update: MembershipUpdate) -> pb.Members:
    """Return the records as they travel."""
    return pb.Members(nodes=[_member_frame(record) for record in update.records])


def read_members(frame: pb.Members, check: RecordCheck | None = None) -> MembershipUpdate:
    """Return the records that pass ``check``. ``PeerError`` if they are too many, out of bounds or forged."""
    if len(frame.nodes) > MAX_RECORDS:
        raise PeerError("bad_members", f"sent {len(frame.nodes)} member records at once; {MAX_RECORDS} is the most")
    records = [_read_member(member) for member in frame.nodes]
    if check is None:
        return MembershipUpdate(tuple(records))
    return MembershipUpdate(tuple(checked for record in records if (checked := check(record)) is not None))


def _member_frame(record: MemberRecord) -> pb.Member:
    return pb.Member(
        node_id=bytes.fromhex(record.key),
        version=record.version,
        name=record.name,
        advertise=announceable(record.address),
        links=b"".join(map(bytes.fromhex, sorted(record.links)[:MAX_NEIGHBOURS])),
        left=record.left,
        proven=b"".join(sorted(record.proven)[:MAX_PROVEN]),
        signature=record.signature,
        certificate=record.certificate,
    )


def _read_member(member: pb.Member) -> MemberRecord:
    if len(member.node_id) != NODE_ID_BYTES or not 0 < member.version < MAX_VERSION:
        raise PeerError("bad_members", "sent a member record whose id or version is out of bounds")
    if len(member.name.encode()) > MAX_NAME or not member.name.isprintable() or not is_well_formed(member.advertise):
        raise PeerError("bad_members", "sent a member record whose name or address is not valid")
    if len(member.signature) > MAX_SIGNATURE or len(member.certificate) > MAX_CERTIFICATE:
        raise PeerError("bad_members", "sent a member record whose signature or certificate is too long")
    return MemberRecord(
        key=member.node_id.hex(),
        version=member.version,
        name=member.name,
        address=announceable(member.advertise),
        links=frozenset(part.hex() for part in _parts(member.links, NODE_ID_BYTES, MAX_NEIGHBOURS)),
        left=member.left,
        proven=frozenset(_parts(member.proven, PROOF_BYTES, MAX_PROVEN)),
        signature=member.signature,
        certificate=member.certificate,
    )


def _parts(data: bytes, size: int, most: int) -> list[bytes]:
    """Return the parts of equal size that were joined."""
    if len(data) % size or len(data) > most * size:
        raise PeerError("bad_members", "sent a member record with too many neighbours or addresses, or parts of one")
    return [data[start : start + size] for start in range(0, len(data), size)]


def is_dialable(address: str) -> bool:
    """Return whether another node may be dialled at this address that it announced, if it is not empty.

    Link-local addresses may not: the zone in them, if there is one, names an interface of another machine.
    """
    return is_well_formed(address) and announceable(address) == address


def is_well_formed(address: str) -> bool:
    """Return whether this is HOST:PORT and nothing else, or empty: then it may be logged."""
    if not address:
        return True
    try:
        check_address(address)
    except ValueError:
        return False
    return len(address.encode()) <= MAX_TEXT and address.isprintable() and not address.endswith(":0")
