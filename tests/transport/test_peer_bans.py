"""Who is kept out, for how long, and that it ends."""

from __future__ import annotations

import pytest

from dslnode.transport.handshake import REASONS
from dslnode.transport.peer_bans import FIRST_BAN_SECONDS, LONGEST_BAN_SECONDS, MAX_BANS, VIOLATIONS, PeerBans


def test_the_first_term_is_short_and_ends() -> None:
    quarantine = PeerBans()
    assert not quarantine.reason("a", 0)
    assert quarantine.offended("a", "flood", 100) == FIRST_BAN_SECONDS
    assert quarantine.reason("a", 100) == "flood"
    assert quarantine.seconds_left("a", 102) == FIRST_BAN_SECONDS - 2
    assert not quarantine.reason("b", 100)
    assert not quarantine.reason("a", 100 + FIRST_BAN_SECONDS)


def test_terms_double_up_to_a_bound_while_offences_go_on() -> None:
    quarantine, now, terms = PeerBans(), 0.0, list[float]()
    for _ in range(14):
        terms.append(quarantine.offended("a", "garbage", now))
        now += terms[-1] + 1
    assert terms[:4] == [FIRST_BAN_SECONDS, 2 * FIRST_BAN_SECONDS, 4 * FIRST_BAN_SECONDS, 8 * FIRST_BAN_SECONDS]
    assert max(terms) == terms[-1] == LONGEST_BAN_SECONDS


def test_who_behaves_long_enough_begins_anew() -> None:
    quarantine = PeerBans()
    quarantine.offended("a", "garbage", 0)
    assert quarantine.offended("a", "garbage", FIRST_BAN_SECONDS + LONGEST_BAN_SECONDS - 1) == 2 * FIRST_BAN_SECONDS
    assert quarantine.offended("a", "garbage", 10 * LONGEST_BAN_SECONDS) == FIRST_BAN_SECONDS


@pytest.mark.parametrize("reason", ["leaving", "duplicate", "model", "run", "quarantined", "peer_refused", "full"])
def test_what_harms_nobody_shuts_nobody_out(reason: str) -> None:
    quarantine = PeerBans()
    assert not quarantine.offended("a", reason, 0)
    assert not quarantine.reason("a", 0)


def test_every_offence_is_a_reason_of_the_protocol() -> None:
    assert VIOLATIONS < REASONS


def test_many_offenders_take_bounded_memory_and_the_worst_are_remembered() -> None:
    quarantine = PeerBans()
    now = 0.0
    for _ in range(6):
        now += quarantine.offended("worst", "flood", now)
    quarantine.offended("worst", "flood", now)
    for number in range(3 * MAX_BANS):
        quarantine.offended(f"{number}", "flood", now)
    assert quarantine.reason("worst", now + 1) == "flood"
    assert sum(bool(quarantine.reason(f"{number}", now + 1)) for number in range(3 * MAX_BANS)) == MAX_BANS - 1


def test_what_was_on_its_way_when_the_door_was_shut_is_no_further_offence() -> None:
    quarantine = PeerBans()
    quarantine.offended("a", "too_many", 0)
    for _ in range(5):
        assert quarantine.offended("a", "too_many", 1) == FIRST_BAN_SECONDS - 1
    assert quarantine.offended("a", "too_many", FIRST_BAN_SECONDS) == 2 * FIRST_BAN_SECONDS
