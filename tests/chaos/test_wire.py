"""The decisions of the switch: whom a frame reaches, when, and which are lost."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.wire import QUEUE_SECONDS, Conditions, Wire, read_conditions

EVERYBODY = b"\xff" * 6
PORTS = 4


def address(port: int) -> bytes:
    return bytes([2, 0, 0, 0, 0, port])


def frame(source: int, target: int | None, size: int = 100) -> bytes:
    return ((EVERYBODY if target is None else address(target)) + address(source)).ljust(size, b"\0")


def wire(conditions: Conditions, seed: int = 1) -> Wire:
    """Return a wire that has seen each port's address already."""
    made = Wire(PORTS, random.Random(seed))
    for port in range(PORTS):
        list(made.take(frame(port, None), port, 0.0))
    made.conditions = conditions
    return made


def test_a_frame_goes_to_all_until_its_target_is_known_and_then_to_it_alone() -> None:
    fresh = Wire(PORTS, random.Random(1))
    assert list(fresh.take(frame(0, 2), 0, 5.0)) == [(5.0, 1), (5.0, 2), (5.0, 3)]
    assert list(fresh.take(frame(2, 0), 2, 6.0)) == [(6.0, 0)]
    assert list(fresh.take(frame(0, 2), 0, 7.0)) == [(7.0, 2)]
    assert list(fresh.take(frame(0, None), 0, 8.0)) == [(8.0, 1), (8.0, 2), (8.0, 3)]
    assert not list(fresh.take(frame(2, 2), 2, 9.0)), "nobody gets back what it sent"


def test_delay_is_added_once_each_way() -> None:
    [(when, port)] = wire(Conditions(delay=0.05)).take(frame(0, 1), 0, 1.0)
    assert port == 1
    assert when == pytest.approx(1.05)


def test_as_many_frames_are_lost_as_the_conditions_say() -> None:
    bad = wire(Conditions(loss=0.02))
    arrived = sum(len(list(bad.take(frame(0, 1), 0, 0.0))) for _ in range(20_000))
    assert arrived / 20_000 == pytest.approx(0.98, abs=0.005)


@given(st.sets(st.integers(0, PORTS - 1)))
def test_a_partition_parts_both_ways_and_spares_either_side(apart: set[int]) -> None:
    parted = wire(Conditions(apart=frozenset(apart)))
    for source in range(PORTS):
        reached = {port for _, port in parted.take(frame(source, None), source, 0.0)}
        assert reached == {port for port in range(PORTS) if port != source and (port in apart) == (source in apart)}


@pytest.mark.parametrize(("source", "target"), [(3, 0), (0, 3)])
def test_a_slow_port_takes_its_time_each_way_and_drops_what_its_queue_cannot_hold(source: int, target: int) -> None:
    slow = wire(Conditions(rates={3: 256_000}))
    took = [when for _ in range(100) for when, _ in slow.take(frame(source, target, 1_600), source, 0.0)]
    assert took == [pytest.approx(0.05 * (number + 1)) for number in range(len(took))], "1,600 bytes take 50 ms"
    assert took[-1] <= QUEUE_SECONDS + 0.1
    assert list(slow.take(frame(0, 1), 0, 0.0)) == [(0.0, 1)], "the others are as fast as ever"


def test_conditions_come_back_from_json_as_they_were() -> None:
    conditions = Conditions(0.05, 0.02, {7: 256_000.0}, frozenset({1, 3}))
    assert read_conditions(json.loads(json.dumps(conditions.as_json()))) == conditions
