"""Who is kept out, for how long, and that it ends."""

from __future__ import annotations

import pytest

from dslnode.transport.handshake import REASONS
from dslnode.transport.peer_bans import FIRST_BAN_SECONDS, LONGEST_BAN_SECONDS, MAX_BANS, VIOLATIONS, PeerBans


def test_the_first_term_is_short_and_ends() -> None:
    bans = PeerBans()
    assert not bans.reason("a", 0)
    assert bans.report_violation("a", "flood", 100) == FIRST_BAN_SECONDS
    assert bans.reason("a", 100) == "flood"
    assert bans.seconds_left("a", 102) == FIRST_BAN_SECONDS - 2
    assert not bans.reason("b", 100)
    assert not bans.reason("a", 100 + FIRST_BAN_SECONDS)


def test_terms_double_up_to_a_bound_while_offences_go_on() -> None:
    bans, now, durations = PeerBans(), 0.0, list[float]()
    for _ in range(14):
        durations.append(bans.report_violation("a", "garbage", now))
        now += durations[-1] + 1
    assert durations[:4] == [FIRST_BAN_SECONDS, 2 * FIRST_BAN_SECONDS, 4 * FIRST_BAN_SECONDS, 8 * FIRST_BAN_SECONDS]
    assert max(durations) == durations[-1] == LONGEST_BAN_SECONDS


def test_who_behaves_long_enough_begins_anew() -> None:
    bans = PeerBans()
    bans.report_violation("a", "garbage", 0)
    assert bans.report_violation("a", "garbage", FIRST_BAN_SECONDS + LONGEST_BAN_SECONDS - 1) == 2 * FIRST_BAN_SECONDS
    assert bans.report_violation("a", "garbage", 10 * LONGEST_BAN_SECONDS) == FIRST_BAN_SECONDS


@pytest.mark.parametrize("reason", ["leaving", "duplicate", "model", "run", "banned", "peer_refused", "full"])
def test_what_harms_nobody_shuts_nobody_out(reason: str) -> None:
    bans = PeerBans()
    assert not bans.report_violation("a", reason, 0)
    assert not bans.reason("a", 0)


def test_every_offence_is_a_reason_of_the_protocol() -> None:
    assert VIOLATIONS < REASONS


def test_many_offenders_take_bounded_memory_and_the_worst_are_remembered() -> None:
    bans = PeerBans()
    now = 0.0
    for _ in range(6):
        now += bans.report_violation("worst", "flood", now)
    bans.report_violation("worst", "flood", now)
    for number in range(3 * MAX_BANS):
        bans.report_violation(f"{number}", "flood", now)
    assert bans.reason("worst", now + 1) == "flood"
    assert sum(bool(bans.reason(f"{number}", now + 1)) for number in range(3 * MAX_BANS)) == MAX_BANS - 1


def test_what_was_on_its_way_when_the_door_was_shut_is_no_further_offence() -> None:
    bans = PeerBans()
    bans.report_violation("a", "too_many", 0)
    for _ in range(5):
        assert bans.report_violation("a", "too_many", 1) == FIRST_BAN_SECONDS - 1
    assert bans.report_violation("a", "too_many", FIRST_BAN_SECONDS) == 2 * FIRST_BAN_SECONDS
