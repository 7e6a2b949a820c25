"""What a neighbour is sent of others' records: all of it, and never more than it allows."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dslnode.overlay.record_forwarding import BURST_VERSIONS, MAX_BATCH_BYTES, SECONDS_PER_VERSION, RecordForwarding
from dslnode.protocol.membership import MAX_MEMBERS, MAX_RECORDS, MemberRecord
from dslnode.transport.rate_limit import PeerRateLimit

CERTIFICATE = bytes(500)


def record(number: int, version: int = 1, links: int = 0) -> MemberRecord:
    others = frozenset(f"{other:032x}" for other in range(links))
    return MemberRecord(f"{number:032x}", version, "board", "", others, signature=bytes(70), certificate=CERTIFICATE)


def lacking(forwarding: RecordForwarding, table: list[MemberRecord]) -> list[MemberRecord]:
    return [each for each in table if each.version > forwarding.versions.get(each.key, 0)]


def test_a_whole_network_goes_in_batches_each_record_once() -> None:
    forwarding, table = RecordForwarding(), [record(number) for number in range(MAX_MEMBERS)]
    sent: list[MemberRecord] = []
    while batch := forwarding.batch(lacking(forwarding, table), 0.0):
        assert len(batch) <= MAX_RECORDS
        sent += batch
    assert sent == table


def test_a_batch_of_large_records_fits_a_frame() -> None:
    forwarding, table = RecordForwarding(), [record(number, links=100) for number in range(MAX_RECORDS)]
    batch = forwarding.batch(table, 0.0)
    assert 0 < sum(each.size for each in batch) <= MAX_BATCH_BYTES
    assert len(batch) < MAX_RECORDS


def test_a_certificate_travels_once_per_link_and_again_when_it_is_renewed() -> None:
    forwarding = RecordForwarding()
    assert forwarding.batch([record(1)], 0.0)[0].certificate == CERTIFICATE
    assert forwarding.batch([record(1, 2)], 0.0)[0].certificate == b""
    renewed = replace(record(1, 3), certificate=b"new")
    assert forwarding.batch([renewed], 0.0)[0].certificate == b"new"
    forwarding.link_opened()
    assert forwarding.versions == {}
    assert forwarding.batch([renewed], 0.0)[0].certificate == b"new"


def test_what_a_neighbour_sent_is_not_sent_back() -> None:
    forwarding = RecordForwarding()
    forwarding.arrived(record(1, 5))
    forwarding.arrived(record(1, 4))
    assert forwarding.versions == {record(1).key: 5}
    assert forwarding.batch([record(1, 6)], 0.0)[0].certificate == b"", "it has sent the certificate itself"


def test_a_record_that_changes_all_the_time_is_passed_on_with_pauses_and_its_last_version_arrives() -> None:
    forwarding, last = RecordForwarding(), record(1)
    passed_on: list[MemberRecord] = []
    for step in range(1_000):
        now = step / 50  # 20 s of 50 versions per second
        last = record(1, step + 1)
        passed_on += forwarding.batch([last], now)
    assert BURST_VERSIONS <= len(passed_on) <= BURST_VERSIONS + 20 / SECONDS_PER_VERSION
    passed_on += forwarding.batch([last], 20 + SECONDS_PER_VERSION)
    assert passed_on[-1].version == last.version


@given(st.lists(st.tuples(st.integers(1, 300), st.floats(0, 2), st.booleans()), max_size=60))
def test_no_receiver_ever_bans_for_what_is_passed_on(steps: list[tuple[int, float, bool]]) -> None:
    """Whatever others change, however often links are opened again."""
    forwarding, limit, now = RecordForwarding(), PeerRateLimit(mask_bytes=100), 0.0
    version = 0
    for changed, pause, reopened in steps:
        now, version = now + pause, version + 1
        if reopened:
            forwarding.link_opened()
        table = [record(number, version, links=100) for number in range(changed)]
        while batch := forwarding.batch(lacking(forwarding, table), now):
            assert limit.consume(sum(each.size for each in batch), now, records=len(batch)) == ""
