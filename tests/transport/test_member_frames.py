"""Member records: those within bounds survive the wire, all others are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.errors import PeerError
from dslnode.protocol.membership import MAX_RECORDS, MAX_VERSION, MemberRecord, MembershipUpdate
from dslnode.transport.grpc_options import MESSAGE_BYTES
from dslnode.transport.member_frames import (
    MAX_NAME,
    MAX_NEIGHBOURS,
    MAX_SIGNATURE,
    is_dialable,
    members_frame,
    read_members,
)
from dslnode.v1 import node_pb2 as pb

node_ids = st.binary(min_size=16, max_size=16).map(bytes.hex)
records = st.builds(
    MemberRecord,
    key=node_ids,
    version=st.integers(1, MAX_VERSION - 1),
    name=st.text("abc-._9ü", max_size=MAX_NAME).filter(lambda name: len(name.encode()) <= MAX_NAME),
    address=st.sampled_from(["", "10.0.0.2:7711", "[fd00::2]:1", "board.local:65535"]),
    links=st.frozensets(node_ids, max_size=5),
    left=st.booleans(),
    proven=st.frozensets(st.binary(min_size=8, max_size=8), max_size=5),
    signature=st.binary(max_size=MAX_SIGNATURE),
    certificate=st.binary(max_size=600),
)


@given(st.lists(records, max_size=MAX_RECORDS).map(lambda some: MembershipUpdate(tuple(some))))
def test_records_survive_the_wire(update: MembershipUpdate) -> None:
    wire = members_frame(update).SerializeToString()
    assert read_members(pb.Members.FromString(wire)) == update


def test_the_largest_frame_is_a_message_that_both_ends_take() -> None:
    links = frozenset(f"{number:032x}" for number in range(MAX_NEIGHBOURS))
    largest = MemberRecord("ff" * 16, MAX_VERSION - 1, "n" * MAX_NAME, "h" * 249 + ":65535", links, left=True)
    frame = pb.Frame(members=members_frame(MembershipUpdate((largest,) * MAX_RECORDS)))
    assert read_members(frame.members).records == (largest,) * MAX_RECORDS
    assert frame.ByteSize() <= MESSAGE_BYTES


def test_a_record_with_too_many_links_is_cut_to_the_bound() -> None:
    links = frozenset(f"{number:032x}" for number in range(MAX_NEIGHBOURS + 30))
    [received] = read_members(members_frame(MembershipUpdate((MemberRecord("ff" * 16, 1, "hub", "", links),)))).records
    assert len(received.links) == MAX_NEIGHBOURS
    assert received.links < links


@pytest.mark.parametrize("address", ["[fe80::7%eth0]:7711", "[fe80::7]:7711"])
def test_link_local_addresses_are_neither_sent_nor_taken(address: str) -> None:
    record = MemberRecord("ff" * 16, 1, "board", address)
    frame = members_frame(MembershipUpdate((record,)))
    assert frame.nodes[0].advertise == ""
    frame.nodes[0].advertise = address
    assert [member.address for member in read_members(frame).records] == [""]
    assert not is_dialable(address)


@pytest.mark.parametrize(
    "change",
    [
        lambda member: setattr(member, "node_id", b"short"),
        lambda member: setattr(member, "version", 0),
        lambda member: setattr(member, "version", MAX_VERSION),
        lambda member: setattr(member, "name", "n" * (MAX_NAME + 1)),
        lambda member: setattr(member, "name", "ü" * (MAX_NAME // 2 + 1)),
        lambda member: setattr(member, "name", "\x1b[2J"),
        lambda member: setattr(member, "advertise", "ü" * 128 + ":1"),
        lambda member: setattr(member, "advertise", "no port"),
        lambda member: setattr(member, "advertise", "host:0"),
        lambda member: setattr(member, "advertise", "host:70000"),
        lambda member: setattr(member, "advertise", "\u202ehost:1"),
        lambda member: setattr(member, "advertise", "h" * 300 + ":1"),
        lambda member: setattr(member, "links", b"x" * 17),
        lambda member: setattr(member, "links", b"x" * 16 * (MAX_NEIGHBOURS + 1)),
    ],
)
def test_a_record_out_of_bounds_is_refused(change: Callable[[pb.Member], None]) -> None:
    member = pb.Member(node_id=b"i" * 16, version=1, name="board", advertise="10.0.0.2:7711")
    assert read_members(pb.Members(nodes=[member])).records
    change(member)
    with pytest.raises(PeerError) as caught:
        read_members(pb.Members(nodes=[member]))
    assert caught.value.reason == "bad_members"


def test_too_many_records_at_once_are_refused() -> None:
    member = pb.Member(node_id=b"i" * 16, version=1)
    with pytest.raises(PeerError, match="32 is the most"):
        read_members(pb.Members(nodes=[member] * (MAX_RECORDS + 1)))


@given(
    st.lists(
        st.builds(
            pb.Member,
            node_id=st.binary(max_size=20),
            version=st.integers(0, 2**32 - 1),
            name=st.text(max_size=80),
            advertise=st.text(max_size=20),
            links=st.binary(max_size=40),
        ),
        max_size=3,
    )
)
def test_any_frame_is_read_within_bounds_or_refused(members: list[pb.Member]) -> None:
    try:
        update = read_members(pb.Members(nodes=members))
    except PeerError as error:
        reason = error.reason
    else:
        reason = "bad_members"
        assert read_members(members_frame(update)) == update
    assert reason == "bad_members"
