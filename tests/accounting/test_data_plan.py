"""The data plan: whatever messages cost, the cap holds; what it leaves is spread over the period."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dslnode.accounting.data_plan import (
    Budget,
    PeerBudget,
    choose_exchanges,
    elapsed_fraction,
    forecast_bytes,
    reserve_bytes,
    seconds_left,
    used_bytes,
)
from dslnode.accounting.ledger import Amounts, Direction, Ledger
from dslnode.config.quantities import IDLE_BYTES_PER_SECOND, CapPeriod, DataCap, parse_cap

HOUR = 3_600


def moment(*when: int) -> float:
    """Return seconds since 1970 of a moment in UTC."""
    return datetime(*when, tzinfo=UTC).timestamp()  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("text", "size", "period"),
    [
        ("50MB/day", 50_000_000, "day"),
        ("1.5 GB/month", 1_500_000_000, "month"),
        ("600KiB/hour", 600 * 1024, "hour"),
        ("100kB/hour", 100_000, "hour"),
        ("5000000B/day", 5_000_000, "day"),
    ],
)
def test_a_cap_is_a_size_and_a_period(text: str, size: int, period: str) -> None:
    assert parse_cap(text) == DataCap(size, CapPeriod(period))


@pytest.mark.parametrize(
    "text", ["", "50MB", "50 MB per day", "50mb/day", "-1MB/day", "1MB/year", "infMB/day", "1e9B/day"]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"50MB/day"):
        parse_cap(text)


def test_a_cap_that_keep_alives_would_fill_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"less than the 1,728,000 bytes per day that one idle link may cost"
    ) as refused:
        parse_cap("1MB/day")
    assert "keep-alives take up to 20 bytes per second" in str(refused.value), "why"
    assert "Allow that much and room for masks, or run the node only at times" in str(refused.value), "what to do"


def test_periods_end_with_the_calendars_hour_day_and_month() -> None:
    now = moment(2026, 12, 30, 22, 30)
    assert seconds_left(CapPeriod.HOUR, now) == HOUR / 2
    assert seconds_left(CapPeriod.DAY, now) == 1.5 * HOUR
    assert seconds_left(CapPeriod.MONTH, now) == 25.5 * HOUR
    assert [elapsed_fraction(period, now) for period in CapPeriod] == [0.5, 22.5 / 24, 1 - 25.5 / (24 * 31)]
    assert seconds_left(CapPeriod.MONTH, moment(2028, 2, 1)) == 29 * 24 * HOUR


def test_used_bytes_are_those_booked_in_the_present_period_both_ways() -> None:
    ledger = Ledger()
    for when, size in (
        ((2026, 10, 31, 23), 1),
        ((2026, 11, 1, 0), 10),
        ((2026, 11, 24, 3), 100),
        ((2026, 11, 24, 19), 1_000),
    ):
        for direction in Direction:
            ledger.book(int(moment(*when) // HOUR), "ab", direction, Amounts(control=size))
    now = moment(2026, 11, 24, 19, 20)
    assert used_bytes(ledger, CapPeriod.HOUR, now) == 2_000
    assert used_bytes(ledger, CapPeriod.DAY, now) == 2_200
    assert used_bytes(ledger, CapPeriod.MONTH, now) == 2_220


def test_without_a_cap_all_are_due_but_those_that_asked_for_an_interval() -> None:
    choice = choose_exchanges(
        None,
        [
            PeerBudget("a", 1.0),
            PeerBudget("b", 1.0, requested_interval_seconds=30.0),
            PeerBudget("c", 31.0, requested_interval_seconds=30.0),
        ],
    )
    assert set(choice.neighbours) == {"a", "c"}
    assert choice.interval_seconds == 0


def test_under_a_generous_cap_all_are_due_every_round() -> None:
    peers = [PeerBudget(key, 1.0, exchange_bytes=2_000) for key in "abc"]
    choice = choose_exchanges(Budget(10**12, 1_000, HOUR, 2_000, round_seconds=1.0), peers)
    assert (set(choice.neighbours), choice.interval_seconds) == (set("abc"), 0)


def test_a_tight_cap_is_spread_evenly_over_what_is_left_of_the_period() -> None:
    peers = [PeerBudget(key, math.inf, exchange_bytes=5_000) for key in "ab"]
    left, spend = 10_000.0, 1_000_000
    kept = 2 * (IDLE_BYTES_PER_SECOND * left + 3_000)
    choice = choose_exchanges(Budget(int(spend + kept), left, HOUR, 3_000, 1.0), peers)
    assert choice.interval_seconds == pytest.approx(2 * 5_000 * left / spend)


def test_those_waiting_longest_come_first_when_not_all_fit() -> None:
    peers = [
        PeerBudget("a", 500.0, exchange_bytes=1),
        PeerBudget("b", 900.0, exchange_bytes=1),
        PeerBudget("c", 10.0, exchange_bytes=1),
    ]
    budget = Budget(3 * 1_000 + 2 * 1_000 + 1, 0.001, HOUR, 1_000, 1.0)
    assert choose_exchanges(budget, peers).neighbours == ("b",)


def test_when_nothing_is_left_no_exchange_is_due_until_the_period_ends() -> None:
    choice = choose_exchanges(Budget(-5, 700.0, HOUR, 1_000, 1.0), [PeerBudget("a")])
    assert (choice.neighbours, choice.interval_seconds) == ((), HOUR)


def test_the_forecast_continues_the_present_rate_up_to_the_cap() -> None:
    cap = DataCap(1_000, CapPeriod.DAY)
    assert forecast_bytes(100, 2.0, 50.0, cap) == 200
    assert forecast_bytes(100, 2.0, 5_000.0, cap) == 1_000
    assert forecast_bytes(1_200, 2.0, 5_000.0, cap) == 1_200
    assert forecast_bytes(100, 2.0, 5_000.0, None) == 10_100


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 6),
    st.integers(100, 50_000),
    st.integers(0, 3_000_000),
    st.sampled_from([0.2, 3.0, 60.0]),
)
def test_the_cap_holds_for_any_costs(seed: int, links: int, max_bytes: int, beyond: int, round_seconds: float) -> None:
    """Costs are anything up to the largest, and neighbours send whenever the announced interval allows it.

    Only a cap without room for one message of each neighbour cannot hold what these send before they know of it.
    """
    chance = random.Random(seed)
    cap = IDLE_BYTES_PER_SECOND * links * HOUR + beyond
    spent, now = 0.0, 0.0
    keys = [str(number) for number in range(links)]
    sent, received, announced = dict.fromkeys(keys, -math.inf), dict.fromkeys(keys, -math.inf), dict.fromkeys(keys, 0.0)
    costs = dict.fromkeys(keys, 2 * max_bytes)
    while now < HOUR:
        budget = Budget(int(cap - spent), HOUR - now, HOUR, max_bytes, round_seconds)
        choice = choose_exchanges(budget, [PeerBudget(key, now - sent[key], 0.0, costs[key]) for key in keys])
        for key in choice.neighbours:
            price = chance.randint(1, max_bytes)
            spent += price
            costs[key], sent[key] = 2 * price, now
        for key in keys:
            if chance.random() < 0.8 and now - received[key] >= announced[key]:
                spent += chance.randint(1, max_bytes)
                received[key] = now
            announced[key] = choice.interval_seconds
        step = round_seconds * chance.uniform(0.5, 20)
        spent += chance.uniform(0, IDLE_BYTES_PER_SECOND) * links * step
        now += step
    before_they_knew = 0 if beyond >= links * max_bytes else links * max_bytes
    assert spent <= max(cap, IDLE_BYTES_PER_SECOND * links * now) + before_they_knew


@pytest.mark.parametrize(
    ("left", "links", "reserved"),
    [
        (50_000_000, 2, 600_000),  # a hundredth of the cap
        (20 * HOUR + 34_000, 1, 30_000),  # what exchanges may take: less keep-alives, and one message of 4,000 bytes
        (20 * HOUR + 34_000, 0, 30_000),  # a link may come
        (20 * HOUR, 1, 6_000),  # nothing is left for exchanges
        (-1, 3, 6_000),
    ],
)
def test_what_a_crash_costs_is_what_exchanges_may_still_take(left: int, links: int, reserved: int) -> None:
    budget = Budget(left, HOUR, 30 * 24 * HOUR, max_message_bytes=4_000, round_seconds=1.0)
    assert reserve_bytes(parse_cap("60MB/month"), budget, links) == reserved


def test_of_the_smallest_cap_something_is_reserved() -> None:
    assert reserve_bytes(DataCap(1, CapPeriod.HOUR), Budget(0, 1.0, HOUR, 4_000, 1.0), 1) == 1
