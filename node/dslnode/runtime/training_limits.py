"""Whether a node may train now, or yields to heat, load, battery or its owner's hours: decisions on given facts."""

from __future__ import annotations

from dataclasses import dataclass

from dslnode.config.quantities import Hours

COOLER = 5.0
"""Degrees below the limit to which a machine that was too hot must cool down, or training would stutter."""
CALMER = 0.8
"""Part of the allowed load to which a machine that was too busy must calm down."""
FULLER = 5.0
"""Percent above the limit to which a battery that was too empty must fill."""


@dataclass(frozen=True)
class TrainingLimits:
    """When to train; None: whatever it is. Degrees Celsius, processes that want to run, percent of a battery."""

    temperature: float | None = None
    load: float | None = None
    hours: Hours | None = None
    battery: float | None = None


@dataclass(frozen=True)
class HostState:
    """How the machine is now: its hottest sensor and its batteries' charge, if it has any, its load, the local time.

    The load is that of the last minute.
    """

    temperature: float | None
    load: float
    minute: int
    battery: float | None = None


def why_wait(limits: TrainingLimits, now: HostState, waiting_for: str = "") -> str:
    """Return what to wait for: ``hours``, ``heat``, ``battery`` or ``load``; empty if the node may train.

    ``waiting_for`` is what it waits for already: that must be over by a margin.
    """
    if limits.hours is not None and not limits.hours.includes(now.minute):
        return "hours"
    margin = COOLER if waiting_for == "heat" else 0.0
    if limits.temperature is not None and now.temperature is not None and now.temperature > limits.temperature - margin:
        return "heat"
    margin = FULLER if waiting_for == "battery" else 0.0
    if limits.battery is not None and now.battery is not None and now.battery < min(100.0, limits.battery + margin):
        return "battery"
    part = CALMER if waiting_for == "load" else 1.0
    return "load" if limits.load is not None and now.load > part * limits.load else ""
