"""What is told of other nodes, to frames and back: every bound is checked before anything is remembered or dialled."""

from __future__ import annotations

from dslnode.addresses import check_address
from dslnode.errors import PeerError
from dslnode.protocol.membership import MAX_RECORDS, MAX_VERSION, MemberRecord, MembershipUpdate
from dslnode.transport.handshake import MAX_TEXT, NODE_ID_BYTES
from dslnode.v1 import node_pb2 as pb

MAX_NAME = 64
MAX_NEIGHBOURS = 100


def members_frame(tidings: MembershipUpdate) -> pb.Members:
    """Return records as they travel."""
    return pb.Members(nodes=[_member(record) for record in tidings.records])


def read_members(frame: pb.Members) -> MembershipUpdate:
    """Return the records; ``PeerError`` if there are too many or one is out of bounds."""
    if len(frame.nodes) > MAX_RECORDS:
        raise PeerError("bad_members", f"told of {len(frame.nodes)} nodes at once; {MAX_RECORDS} is the most")
    return MembershipUpdate(tuple(_record(member) for member in frame.nodes))


def _member(record: MemberRecord) -> pb.Member:
    return pb.Member(
        node_id=bytes.fromhex(record.key),
        version=record.version,
        name=record.name,
        advertise=record.address,
        links=b"".join(map(bytes.fromhex, sorted(record.links)[:MAX_NEIGHBOURS])),
        left=record.left,
    )


def _record(member: pb.Member) -> MemberRecord:
    if len(member.node_id) != NODE_ID_BYTES or not 0 < member.version < MAX_VERSION:
        raise PeerError("bad_members", "told of a node whose id or version is out of bounds")
    if len(member.name.encode()) > MAX_NAME or not member.name.isprintable() or not is_dialable(member.advertise):
        raise PeerError("bad_members", "told of a node whose name or address is none")
    if len(member.links) % NODE_ID_BYTES or len(member.links) > MAX_NEIGHBOURS * NODE_ID_BYTES:
        raise PeerError("bad_members", "told of a node with too many neighbours, or parts of one")
    starts = range(0, len(member.links), NODE_ID_BYTES)
    links = frozenset(member.links[start : start + NODE_ID_BYTES].hex() for start in starts)
    return MemberRecord(member.node_id.hex(), member.version, member.name, member.advertise, links, member.left)


def is_dialable(address: str) -> bool:
    """Return whether this is HOST:PORT and nothing else, or empty: it may be dialled and logged."""
    if not address:
        return True
    try:
        check_address(address)
    except ValueError:
        return False
    return len(address.encode()) <= MAX_TEXT and address.isprintable() and not address.endswith(":0")
