"""Whether a node may train: hours, heat and load, each with its margins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.config.quantities import MINUTES_PER_DAY, Hours, parse_hours
from dslnode.runtime.training_limits import CALMER, COOLER, FULLER, HostState, TrainingLimits, why_wait

COOL = HostState(temperature=40.0, load=0.5, minute=12 * 60)


def test_without_limits_a_node_trains_whatever_the_machine_does() -> None:
    assert not why_wait(TrainingLimits(), HostState(120.0, 99.0, 0))


def test_hours_may_go_over_midnight() -> None:
    night = parse_hours("22:00-6:30")
    assert night == Hours(22 * 60, 6 * 60 + 30)
    assert [night.includes(minute) for minute in (22 * 60, 0, 6 * 60 + 29)] == [True] * 3
    assert [night.includes(minute) for minute in (6 * 60 + 30, 12 * 60, 22 * 60 - 1)] == [False] * 3


@given(st.integers(0, MINUTES_PER_DAY - 1), st.integers(0, MINUTES_PER_DAY - 1), st.integers(0, MINUTES_PER_DAY - 1))
def test_a_minute_is_in_the_hours_or_in_the_rest_of_the_day(begin: int, end: int, minute: int) -> None:
    if begin != end:
        assert Hours(begin, end).includes(minute) != Hours(end, begin).includes(minute)


@pytest.mark.parametrize("text", ["22-6", "24:00-06:00", "22:00-06:60", "22:00 - 06:00", "22:00", "22:00-22:00"])
def test_what_is_no_part_of_a_day_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it as 22:00-06:00|leave it out"):
        parse_hours(text)


def test_a_hot_machine_waits_until_it_is_cooler_by_a_margin() -> None:
    limits = TrainingLimits(temperature=70.0)
    assert not why_wait(limits, HostState(70.0, 0, 0))
    assert why_wait(limits, HostState(70.1, 0, 0)) == "heat"
    assert why_wait(limits, HostState(70.0, 0, 0), "heat") == "heat"
    assert not why_wait(limits, HostState(70.0 - COOLER, 0, 0), "heat")


def test_a_machine_without_a_sensor_is_never_too_hot() -> None:
    assert not why_wait(TrainingLimits(temperature=1.0), HostState(None, 0, 0))


def test_a_busy_machine_waits_until_it_is_calmer_by_a_margin() -> None:
    limits = TrainingLimits(load=2.0)
    assert why_wait(limits, HostState(None, 2.1, 0)) == "load"
    assert why_wait(limits, HostState(None, 1.9, 0), "load") == "load"
    assert not why_wait(limits, HostState(None, 2.0 * CALMER, 0), "load")


def test_the_owners_hours_come_before_all_else() -> None:
    limits = TrainingLimits(temperature=1.0, load=0.1, hours=Hours(0, 60))
    assert why_wait(limits, COOL) == "hours"
    assert why_wait(limits, HostState(40.0, 0.5, 30), "hours") == "heat"


def test_an_empty_battery_must_fill_by_a_margin() -> None:
    limits = TrainingLimits(battery=30.0)
    assert not why_wait(limits, HostState(None, 0, 0, battery=30.0))
    assert why_wait(limits, HostState(None, 0, 0, battery=29.9)) == "battery"
    assert why_wait(limits, HostState(None, 0, 0, battery=30.0), "battery") == "battery"
    assert not why_wait(limits, HostState(None, 0, 0, battery=30.0 + FULLER), "battery")
    assert not why_wait(TrainingLimits(battery=98.0), HostState(None, 0, 0, battery=100.0), "battery"), "full is enough"


def test_a_machine_without_a_battery_is_never_too_empty() -> None:
    assert not why_wait(TrainingLimits(battery=99.0), HostState(None, 0, 0))
