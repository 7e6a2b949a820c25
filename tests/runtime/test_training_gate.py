"""A node that yields: neighbours, log and metrics hear of it once, and it ends when it must."""

from __future__ import annotations

from collections import deque
from typing import Any, cast

import pytest

from dslnode.accounting.exchange_pacing import ExchangeScheduler
from dslnode.config.settings import Settings
from dslnode.protocol.events import Event, TrainingPaused
from dslnode.runtime import training_gate
from dslnode.runtime.training_limits import HostState
from dslnode.telemetry.logs import Logger
from dslnode.telemetry.metrics import Metrics

COOL, HOT = HostState(50.0, 0.1, 0), HostState(90.0, 0.1, 0)
BLIND = HostState(None, 0.1, 0)
EMPTY, CHARGED = HostState(None, 0.1, 0, battery=10.0), HostState(None, 0.1, 0, battery=90.0)


class Setup:
    """A rest whose every word is written down, on a machine that is as the test says, look after look."""

    def __init__(self, **options: Any) -> None:
        self.events: list[Event] = []
        self.paces: list[int] = []
        self.log: list[str] = []
        self.metrics = Metrics(list)
        settings = Settings(name="node", **options)
        self.rest = training_gate.TrainingGate(
            settings,
            self.metrics,
            cast(ExchangeScheduler, _Pacer(self.paces)),
            cast(Logger, _Log(self.log)),
            self.events.append,
        )

    async def look(self, *states: HostState, stopped: bool = False) -> list[str]:
        """Wait until allowed; return what the metric named after each look."""
        waiting, seen = deque(states), list[str]()

        def read() -> HostState:
            seen.extend(self.waiting())
            return waiting.popleft()

        await self.rest.until_allowed(lambda: stopped, read)
        return [*seen, *self.waiting()]

    def waiting(self) -> list[str]:
        [family] = [one for one in self.metrics.registry.collect() if one.name == "dslnode_waiting"]
        return [sample.labels["reason"] for sample in family.samples]


class _Pacer:
    def __init__(self, paces: list[int]) -> None:
        self.set_minimum_interval = paces.append


class _Log:
    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def info(self, event: str, **_: object) -> None:
        self._lines.append(event)

    warning = info


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_gate, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(training_gate, "STOP_SECONDS", 0.01)


async def test_a_node_without_limits_does_not_even_look() -> None:
    setup = Setup()
    await setup.look()
    assert not setup.events


async def test_a_cool_machine_trains_at_once_and_nobody_is_told_anything() -> None:
    setup = Setup(max_temperature=70)
    assert not await setup.look(COOL)
    assert (setup.events, setup.paces, setup.log) == ([], [], [])


async def test_a_hot_machine_waits_and_says_so_once() -> None:
    setup = Setup(max_temperature=70)
    assert await setup.look(HOT, HOT, HOT, COOL) == ["heat"] * 3
    assert setup.events == [TrainingPaused(), TrainingPaused(), TrainingPaused(), TrainingPaused(resumed=True)]
    assert setup.paces == [training_gate.INTERVAL, 0]
    assert setup.log == ["waiting", "training again"]


async def test_an_empty_battery_waits_until_it_is_charged() -> None:
    setup = Setup(min_battery=30)
    assert await setup.look(EMPTY, EMPTY, CHARGED) == ["battery"] * 2
    assert setup.log == ["waiting", "training again"]


async def test_a_node_that_must_end_waits_no_longer() -> None:
    setup = Setup(max_temperature=70)
    await setup.look(HOT, stopped=True)
    assert setup.events == [TrainingPaused(resumed=True)]


async def test_a_limit_that_cannot_be_watched_is_said_once_and_does_not_hold_the_node() -> None:
    setup = Setup(max_temperature=70, min_battery=30)
    await setup.look(BLIND)
    await setup.look(BLIND)
    assert setup.log == ["no temperature", "no battery"]
    assert not setup.events
