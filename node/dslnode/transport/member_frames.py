"""Member records to frames and back. Every bound is checked before a record is kept or an address dialled."""

from __future__ import annotations

from dslnode.addresses import announceable, check_address
from dslnode.errors import PeerError
from dslnode.protocol.membership import MAX_RECORDS, MAX_VERSION, MemberRecord, MembershipUpdate
from dslnode.transport.handshake import MAX_TEXT, NODE_ID_BYTES
from dslnode.v1 import node_pb2 as pb

MAX_NAME = 64
MAX_NEIGHBOURS = 100


def members_frame(update: MembershipUpdate) -> pb.Members:
    """Return the records as they travel."""
    return pb.Members(nodes=[_member_frame(record) for record in update.records])


def read_members(frame: pb.Members) -> MembershipUpdate:
    """Return the records; ``PeerError`` if there are too many or one is out of bounds."""
    if len(frame.nodes) > MAX_RECORDS:
        raise PeerError("bad_members", f"sent {len(frame.nodes)} member records at once; {MAX_RECORDS} is the most")
    return MembershipUpdate(tuple(_read_member(member) for member in frame.nodes))


def _member_frame(record: MemberRecord) -> pb.Member:
    return pb.Member(
        node_id=bytes.fromhex(record.key),
        version=record.version,
        name=record.name,
        advertise=announceable(record.address),
        links=b"".join(map(bytes.fromhex, sorted(record.links)[:MAX_NEIGHBOURS])),
        left=record.left,
    )


def _read_member(member: pb.Member) -> MemberRecord:
    if len(member.node_id) != NODE_ID_BYTES or not 0 < member.version < MAX_VERSION:
        raise PeerError("bad_members", "sent a member record whose id or version is out of bounds")
    if len(member.name.encode()) > MAX_NAME or not member.name.isprintable() or not is_well_formed(member.advertise):
        raise PeerError("bad_members", "sent a member record whose name or address is not valid")
    if len(member.links) % NODE_ID_BYTES or len(member.links) > MAX_NEIGHBOURS * NODE_ID_BYTES:
        raise PeerError("bad_members", "sent a member record with too many neighbours, or parts of one")
    starts = range(0, len(member.links), NODE_ID_BYTES)
    links = frozenset(member.links[start : start + NODE_ID_BYTES].hex() for start in starts)
    return MemberRecord(
        member.node_id.hex(), member.version, member.name, announceable(member.advertise), links, member.left
    )


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
