"""Who is kept out, for how long, and that it ends."""

from __future__ import annotations

import pytest

from dslnode.transport.handshake import REASONS
from dslnode.transport.peer_bans import FIRST_TERM, LONGEST_TERM, MAX_CASES, OFFENCES, Quarantine


def test_the_first_term_is_short_and_ends() -> None:
    quarantine = Quarantine()
    assert not quarantine.reason("a", 0)
    assert quarantine.offended("a", "flood", 100) == FIRST_TERM
    assert quarantine.reason("a", 100) == "flood"
    assert quarantine.seconds_left("a", 102) == FIRST_TERM - 2
    assert not quarantine.reason("b", 100)
    assert not quarantine.reason("a", 100 + FIRST_TERM)


def test_terms_double_up_to_a_bound_while_offences_go_on() -> None:
    quarantine, now, terms = Quarantine(), 0.0, list[float]()
    for _ in range(14):
        terms.append(quarantine.offended("a", "garbage", now))
        now += terms[-1] + 1
    assert terms[:4] == [FIRST_TERM, 2 * FIRST_TERM, 4 * FIRST_TERM, 8 * FIRST_TERM]
    assert max(terms) == terms[-1] == LONGEST_TERM


def test_who_behaves_long_enough_begins_anew() -> None:
    quarantine = Quarantine()
    quarantine.offended("a", "garbage", 0)
    assert quarantine.offended("a", "garbage", FIRST_TERM + LONGEST_TERM - 1) == 2 * FIRST_TERM
    assert quarantine.offended("a", "garbage", 10 * LONGEST_TERM) == FIRST_TERM


@pytest.mark.parametrize("reason", ["leaving", "duplicate", "model", "run", "quarantined", "peer_refused", "full"])
def test_what_harms_nobody_shuts_nobody_out(reason: str) -> None:
    quarantine = Quarantine()
    assert not quarantine.offended("a", reason, 0)
    assert not quarantine.reason("a", 0)


def test_every_offence_is_a_reason_of_the_protocol() -> None:
    assert OFFENCES < REASONS


def test_many_offenders_take_bounded_memory_and_the_worst_are_remembered() -> None:
    quarantine = Quarantine()
    now = 0.0
    for _ in range(6):
        now += quarantine.offended("worst", "flood", now)
    quarantine.offended("worst", "flood", now)
    for number in range(3 * MAX_CASES):
        quarantine.offended(f"{number}", "flood", now)
    assert quarantine.reason("worst", now + 1) == "flood"
    assert sum(bool(quarantine.reason(f"{number}", now + 1)) for number in range(3 * MAX_CASES)) == MAX_CASES - 1


def test_what_was_on_its_way_when_the_door_was_shut_is_no_further_offence() -> None:
    quarantine = Quarantine()
    quarantine.offended("a", "too_many", 0)
    for _ in range(5):
        assert quarantine.offended("a", "too_many", 1) == FIRST_TERM - 1
    assert quarantine.offended("a", "too_many", FIRST_TERM) == 2 * FIRST_TERM
