"""Holds local training back while heat, load, battery or hours forbid it; neighbours, log and metrics are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict

from dslnode.accounting.exchange_pacing import ExchangeScheduler
from dslnode.config.quantities import parse_hours
from dslnode.config.settings import Settings
from dslnode.protocol.events import Event, TrainingPaused
from dslnode.runtime.host_sensors import read_host_state
from dslnode.runtime.training_limits import HostState, TrainingLimits, why_wait
from dslnode.telemetry.logs import Logger
from dslnode.telemetry.metrics import Metrics

CHECK_SECONDS = 10.0
"""Seconds between two readings of the sensors while the node waits."""
STOP_SECONDS = 0.2
"""Seconds within which a node that waits notices that it must end."""
INTERVAL = 60
"""Seconds between masks that neighbours are asked for meanwhile. A node that asks for an interval is not awaited."""

SHOWN = ("load", "temperature", "battery")
"""Sensor readings that the log shows."""


class TrainingGate:
    """Asked before each round's training. ``post`` feeds the round machine; without limits no sensor is read."""

    def __init__(
        self, settings: Settings, metrics: Metrics, pacer: ExchangeScheduler, log: Logger, post: Callable[[Event], None]
    ) -> None:
        hours = parse_hours(settings.only_between) if settings.only_between else None
        self._limits = TrainingLimits(settings.max_temperature, settings.max_load, hours, settings.min_battery)
        self._metrics = metrics
        self._pacer = pacer
        self._log = log
        self._post = post
        self._warned: set[str] = set()

    async def until_allowed(self, stopped: Callable[[], bool], read: Callable[[], HostState] = read_host_state) -> bool:
        """Return True when the node may train, False when it has ``stopped``."""
        why = "" if self._limits == TrainingLimits() else self._check(read(), "")
        if not why:
            return True
        self._pacer.set_minimum_interval(INTERVAL)
        while why and not stopped():
            self._post(TrainingPaused())
            await self._pause(stopped)
            why = self._check(read(), why)
        self._pacer.set_minimum_interval(0)
        self._post(TrainingPaused(resumed=True))
        return not stopped()

    def _check(self, now: HostState, before: str) -> str:
        why = why_wait(self._limits, now, before)
        if now.temperature is None and self._limits.temperature is not None:
            self._warn("no temperature", "this machine has no sensor that can be read")
        if now.battery is None and self._limits.battery is not None:
            self._warn("no battery", "this machine has no battery that can be read")
        if why != before:
            self._metrics.set_waiting(why)
            event, facts = ("waiting" if why else "training again"), asdict(now)
            self._log.info(event, reason=why or before, **{name: facts[name] for name in SHOWN})
        return why

    def _warn(self, what: str, why: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            self._log.warning(what, why=why)

    @staticmethod
    async def _pause(stopped: Callable[[], bool]) -> None:
        ends = asyncio.get_running_loop().time() + CHECK_SECONDS
        while not stopped() and asyncio.get_running_loop().time() < ends:
            await asyncio.sleep(STOP_SECONDS)
