"""The ledger: what is booked is never lost or doubled, whatever the clock says, and it stays small."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.accounting import ledger as module
from dslnode.accounting.ledger import (
    EARLIEST_HOUR,
    KEPT_DAYS,
    KEPT_HOURS,
    MAX_SETBACK_HOURS,
    OTHERS,
    Amounts,
    Direction,
    Ledger,
    Period,
    ledger_lines,
    start_of,
    total,
)

NOW = EARLIEST_HOUR + 5_000
amounts = st.builds(Amounts, *[st.integers(0, 10**6)] * len(module.KINDS))
ONE = Amounts(keep_bits=80, keep_framing=2, control=3, resent=4, transport=5)


def test_the_kinds_add_up_to_what_crossed_the_wire() -> None:
    assert ONE.total == 10 + 2 + 3 + 4 + 5
    assert (ONE + ONE).total == 2 * ONE.total
    assert (ONE + ONE) - ONE == ONE


def test_amounts_are_booked_under_their_hour_and_their_day() -> None:
    ledger = Ledger()
    ledger.book(NOW, "ab", Direction.SENT, ONE)
    ledger.book(NOW, "ab", Direction.SENT, ONE)
    ledger.book(NOW + 1, "ab", Direction.RECEIVED, ONE)
    assert ledger.hours[NOW] == {("ab", Direction.SENT): ONE + ONE}
    assert total(ledger.days.values()) == ONE + ONE + ONE
    assert total(ledger.hours.values()) == ONE + ONE + ONE


@given(st.lists(st.tuples(st.integers(0, 200), st.sampled_from("abc"), st.sampled_from(Direction), amounts)))
def test_days_hold_all_that_was_booked_and_hours_the_newest(
    entries: list[tuple[int, str, Direction, Amounts]],
) -> None:
    ledger = Ledger()
    for later, neighbour, direction, moved in entries:
        ledger.book(ledger.hour_at(NOW + later), neighbour, direction, moved)
    assert total(ledger.days.values()) == sum((moved for *_, moved in entries), Amounts())
    for day, period in ledger.days.items():
        hours = [ledger.hours.get(hour, {}) for hour in range(24 * day, 24 * day + 24)]
        if all(hour in ledger.hours or hour < min(ledger.hours) for hour in range(24 * day, 24 * day + 24)):
            assert total(hours).total <= total(period).total
    assert len(ledger.hours) <= KEPT_HOURS


def test_old_periods_are_dropped() -> None:
    ledger = Ledger()
    for day in range(KEPT_DAYS + 50):
        ledger.book(NOW + 24 * day, "ab", Direction.SENT, ONE)
    assert len(ledger.days) == KEPT_DAYS
    assert len(ledger.hours) == KEPT_HOURS
    assert max(ledger.days) == (NOW + 24 * (KEPT_DAYS + 49)) // 24


def test_too_many_rows_lose_names_from_the_oldest_on_but_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ROWS", 30)
    ledger = Ledger()
    for hour in range(0, 24 * 10, 24):
        for neighbour in "abcd":
            ledger.book(NOW + hour, neighbour, Direction.SENT, ONE)
    assert total(ledger.days.values()).total == 40 * ONE.total
    assert sum(map(len, ledger.days.values())) + sum(map(len, ledger.hours.values())) <= 30
    assert set(ledger.days[min(ledger.days)]) == {(OTHERS, Direction.SENT)}
    assert ("d", Direction.SENT) in ledger.hours[max(ledger.hours)]


def test_a_clock_that_was_never_set_stays_at_the_newest_hour() -> None:
    ledger = Ledger()
    assert ledger.hour_at(3) == EARLIEST_HOUR
    ledger.book(NOW, "ab", Direction.SENT, ONE)
    assert ledger.hour_at(3) == NOW
    assert ledger.hour_at(NOW + 7) == NOW + 7


@pytest.mark.parametrize("back", [1, MAX_SETBACK_HOURS])
def test_a_clock_that_was_set_back_a_little_makes_no_period_come_twice(back: int) -> None:
    ledger = Ledger()
    ledger.book(NOW, "ab", Direction.SENT, ONE)
    assert ledger.hour_at(NOW - back) == NOW


def test_what_was_booked_while_the_clock_ran_years_ahead_moves_to_the_present() -> None:
    ledger = Ledger()
    ledger.book(NOW, "ab", Direction.SENT, ONE)
    ledger.book(NOW + 90_000, "ab", Direction.SENT, ONE)
    assert ledger.hour_at(NOW + 1) == NOW + 1
    assert set(ledger.hours) == {NOW, NOW + 1}
    assert max(ledger.days) == (NOW + 1) // 24
    assert total(ledger.days.values()) == ONE + ONE


@given(st.lists(st.integers(0, NOW + 100_000), max_size=30))
def test_no_jump_of_the_clock_loses_or_doubles_what_was_booked(clocks: list[int]) -> None:
    ledger = Ledger()
    for clock in clocks:
        hour = ledger.hour_at(clock)
        ledger.book(hour, "ab", Direction.SENT, ONE)
        assert hour == ledger.newest
        assert ledger.hour_at(clock) == hour, "asked twice, it is the same"
        assert max(ledger.days) == hour // 24
    assert total(ledger.days.values()).total == len(clocks) * ONE.total


def test_rows_come_in_order_of_time_neighbour_and_direction() -> None:
    ledger = Ledger()
    for hour, neighbour, direction in ((1, "b", "sent"), (0, "b", "received"), (1, "a", "received"), (1, "a", "sent")):
        ledger.book(NOW + hour, neighbour, Direction(direction), ONE)
    lines = [
        (number - NOW, neighbour, str(direction))
        for number, neighbour, direction, _ in ledger_lines(ledger, Period.HOUR)
    ]
    assert lines == [(0, "b", "received"), (1, "a", "sent"), (1, "a", "received"), (1, "b", "sent")]


def test_periods_begin_in_utc() -> None:
    assert start_of(Period.HOUR, EARLIEST_HOUR).isoformat() == "2026-01-01T00:00:00+00:00"
    assert start_of(Period.DAY, EARLIEST_HOUR // 24 + 1).isoformat() == "2026-01-02T00:00:00+00:00"
