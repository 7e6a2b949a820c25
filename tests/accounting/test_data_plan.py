"""The data plan: whatever messages cost, the cap holds; what it leaves is spread over the period."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dslnode.accounting.data_plan import Budget, PeerBudget, choose_exchanges, elapsed, forecast, seconds_left, used
from dslnode.accounting.ledger import Amounts, Direction, Ledger
from dslnode.config.quantities import IDLE_BYTES_PER_SECOND, CapPer, DataCap, parse_cap

HOUR = 3_600


def moment(*when: int) -> float:
    """Return seconds since 1970 of a moment in UTC."""
    return datetime(*when, tzinfo=UTC).timestamp()  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("text", "size", "per"),
    [
        ("50MB/day", 50_000_000, "day"),
        ("1.5 GB/month", 1_500_000_000, "month"),
        ("600KiB/hour", 600 * 1024, "hour"),
        ("100kB/hour", 100_000, "hour"),
        ("5000000B/day", 5_000_000, "day"),
    ],
)
def test_a_cap_is_a_size_and_a_period(text: str, size: int, per: str) -> None:
    assert parse_cap(text) == DataCap(size, CapPer(per))


@pytest.mark.parametrize(
    "text", ["", "50MB", "50 MB per day", "50mb/day", "-1MB/day", "1MB/year", "infMB/day", "1e9B/day"]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"50MB/day"):
        parse_cap(text)


def test_a_cap_that_keep_alives_would_fill_is_refused() -> None:
    with pytest.raises(ValueError, match=r"less than the 1,728,000 bytes a day that one idle link may cost") as refused:
        parse_cap("1MB/day")
    assert "keep-alives take up to 20 a second" in str(refused.value), "why"
    assert "Allow that much and room for masks, or run the node only at times" in str(refused.value), "what to do"


def test_periods_end_with_the_calendars_hour_day_and_month() -> None:
    now = moment(2026, 12, 30, 22, 30)
    assert seconds_left(CapPer.HOUR, now) == HOUR / 2
    assert seconds_left(CapPer.DAY, now) == 1.5 * HOUR
    assert seconds_left(CapPer.MONTH, now) == 25.5 * HOUR
    assert [elapsed(per, now) for per in CapPer] == [0.5, 22.5 / 24, 1 - 25.5 / (24 * 31)]
    assert seconds_left(CapPer.MONTH, moment(2028, 2, 1)) == 29 * 24 * HOUR


def test_used_is_what_is_booked_in_the_present_period_both_ways() -> None:
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
    assert used(ledger, CapPer.HOUR, now) == 2_000
    assert used(ledger, CapPer.DAY, now) == 2_200
    assert used(ledger, CapPer.MONTH, now) == 2_220


def test_without_a_cap_everybody_is_spoken_to_but_who_asked_for_less() -> None:
    choice = choose_exchanges(
        None, [PeerBudget("a", 1.0), PeerBudget("b", 1.0, wish=30.0), PeerBudget("c", 31.0, wish=30.0)]
    )
    assert set(choice.neighbours) == {"a", "c"}
    assert choice.interval == 0


def test_under_a_generous_cap_everybody_is_spoken_to_every_round() -> None:
    partners = [PeerBudget(key, 1.0, cost=2_000) for key in "abc"]
    choice = choose_exchanges(Budget(10**12, 1_000, HOUR, 2_000, round_seconds=1.0), partners)
    assert (set(choice.neighbours), choice.interval) == (set("abc"), 0)


def test_a_tight_cap_is_spread_evenly_over_what_is_left_of_the_period() -> None:
    partners = [PeerBudget(key, math.inf, cost=5_000) for key in "ab"]
    left, spend = 10_000.0, 1_000_000
    kept = 2 * (IDLE_BYTES_PER_SECOND * left + 3_000)
    choice = choose_exchanges(Budget(int(spend + kept), left, HOUR, 3_000, 1.0), partners)
    assert choice.interval == pytest.approx(2 * 5_000 * left / spend)


def test_the_longest_silent_comes_first_when_not_all_fit() -> None:
    partners = [PeerBudget("a", 500.0, cost=1), PeerBudget("b", 900.0, cost=1), PeerBudget("c", 10.0, cost=1)]
    means = Budget(3 * 1_000 + 2 * 1_000 + 1, 0.001, HOUR, 1_000, 1.0)
    assert choose_exchanges(means, partners).neighbours == ("b",)


def test_when_nothing_is_left_nobody_is_spoken_to_until_the_period_ends() -> None:
    choice = choose_exchanges(Budget(-5, 700.0, HOUR, 1_000, 1.0), [PeerBudget("a")])
    assert (choice.neighbours, choice.interval) == ((), HOUR)


def test_the_forecast_goes_on_at_the_present_rate_but_not_over_the_cap() -> None:
    cap = DataCap(1_000, CapPer.DAY)
    assert forecast(100, 2.0, 50.0, cap) == 200
    assert forecast(100, 2.0, 5_000.0, cap) == 1_000
    assert forecast(1_200, 2.0, 5_000.0, cap) == 1_200
    assert forecast(100, 2.0, 5_000.0, None) == 10_100


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 6),
    st.integers(100, 50_000),
    st.integers(0, 3_000_000),
    st.sampled_from([0.2, 3.0, 60.0]),
)
def test_the_cap_holds_for_any_costs(seed: int, links: int, largest: int, beyond: int, round_seconds: float) -> None:
    """Costs are anything up to the largest, and neighbours send whenever the pace that they were told allows it.

    Only a cap without room for one message of each neighbour cannot hold what these send before they know of it.
    """
    chance = random.Random(seed)
    cap = IDLE_BYTES_PER_SECOND * links * HOUR + beyond
    spent, now = 0.0, 0.0
    keys = [str(number) for number in range(links)]
    spoken, heard, told = dict.fromkeys(keys, -math.inf), dict.fromkeys(keys, -math.inf), dict.fromkeys(keys, 0.0)
    costs = dict.fromkeys(keys, 2 * largest)
    while now < HOUR:
        means = Budget(int(cap - spent), HOUR - now, HOUR, largest, round_seconds)
        choice = choose_exchanges(means, [PeerBudget(key, now - spoken[key], 0.0, costs[key]) for key in keys])
        for key in choice.neighbours:
            price = chance.randint(1, largest)
            spent += price
            costs[key], spoken[key] = 2 * price, now
        for key in keys:
            if chance.random() < 0.8 and now - heard[key] >= told[key]:
                spent += chance.randint(1, largest)
                heard[key] = now
            told[key] = choice.interval
        step = round_seconds * chance.uniform(0.5, 20)
        spent += chance.uniform(0, IDLE_BYTES_PER_SECOND) * links * step
        now += step
    before_they_knew = 0 if beyond >= links * largest else links * largest
    assert spent <= max(cap, IDLE_BYTES_PER_SECOND * links * now) + before_they_knew
