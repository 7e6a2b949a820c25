"""Who a certificate speaks for, and what may be believed when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.errors import PeerError
from dslnode.security.identity import Identity, Revocations, check_claimed_identity, check_validity, node_id_of

BEGINS, ENDS = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
BOARD = Identity(b"n" * 16, "board-7", 77, BEGINS, ENDS)
INSTANT = timedelta(microseconds=1)


def refusal(now: datetime, revoked: Revocations | None = None) -> str:
    with pytest.raises(PeerError) as refused:
        check_validity(BOARD, revoked or Revocations(), now)
    return f"{refused.value.reason}: {refused.value}"


def test_a_certificate_is_valid_from_not_before_until_just_before_not_after() -> None:
    for moment in (BEGINS, BEGINS + timedelta(days=100), ENDS - INSTANT):
        check_validity(BOARD, Revocations(1, frozenset({76, 78})), moment)


def test_a_certificate_outside_its_validity_is_refused_with_both_dates_and_a_hint_at_the_clock() -> None:
    assert refusal(ENDS) == (
        "expired: presents a certificate that ended on 2027-01-01 (this board's clock says 2027-01-01; is it right?)"
    )
    assert refusal(datetime(1970, 1, 1, tzinfo=UTC)) == (
        "not_yet_valid: presents a certificate valid from 2026-01-01 (this board's clock says 1970-01-01; is it right?)"
    )


def test_a_revoked_certificate_is_refused_whatever_the_time() -> None:
    for moment in (BEGINS, ENDS + timedelta(days=1)):
        assert refusal(moment, Revocations(1, frozenset({77}))).startswith("revoked: ")


def test_a_hello_cannot_claim_another_identity() -> None:
    check_claimed_identity(BOARD, b"n" * 16, "board-7")
    for node_id, name in ((b"m" * 16, "board-7"), (b"n" * 16, "board-8"), (b"", "board-7")):
        with pytest.raises(PeerError) as refused:
            check_claimed_identity(BOARD, node_id, name)
        assert refused.value.reason == "identity"


@pytest.mark.parametrize(("days_left", "expiring"), [(31, False), (29, True), (0, True), (-5, True)])
def test_a_certificate_of_a_year_is_expiring_in_its_last_month(days_left: int, expiring: bool) -> None:
    assert BOARD.is_expiring(ENDS - timedelta(days=days_left)) is expiring


def test_a_short_certificate_is_expiring_in_its_last_third() -> None:
    week = Identity(b"n" * 16, "board-7", 1, BEGINS, BEGINS + timedelta(days=9))
    assert not week.is_expiring(BEGINS + timedelta(days=5))
    assert week.is_expiring(BEGINS + timedelta(days=7))


@given(st.binary(min_size=16, max_size=16))
def test_a_node_id_is_read_back_from_its_uri(node_id: bytes) -> None:
    assert node_id_of(["https://example.org", f"dslnode:{node_id.hex()}"]) == node_id


@pytest.mark.parametrize(
    "uris", [[], ["other:00"], ["dslnode:"], ["dslnode:" + "AB" * 16], ["dslnode:" + "ab" * 15], ["dslnode:xy"]]
)
def test_anything_but_one_whole_node_id_is_refused(uris: list[str]) -> None:
    with pytest.raises(ValueError, match=r"node id|hex"):
        node_id_of(uris)
    with pytest.raises(ValueError, match="2 node ids"):
        node_id_of(["dslnode:" + "ab" * 16] * 2)
