"""Reads the machine's temperature, load and battery charge, and the local time of day.

Not by psutil: it reads hwmon and ignores the kernel's thermal zones if there is any hwmon, so that it misses the
processor of boards whose driver makes a zone only; and it takes the first supply with "battery" in its name, which may
be a mouse's.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from dslnode.runtime.training_limits import HostState

THERMAL_ZONES = Path("/sys/class/thermal")
POWER_SUPPLIES = Path("/sys/class/power_supply")
PLAUSIBLE_CELSIUS = range(-40, 200)
"""Degrees Celsius; some sensors report other values when they are switched off."""


def read_host_state() -> HostState:
    """Return the present state; None for values that cannot be read."""
    now = time.localtime()
    minute = 60 * now.tm_hour + now.tm_min
    return HostState(hottest(THERMAL_ZONES), os.getloadavg()[0], minute, charge(POWER_SUPPLIES))


def hottest(zones: Path) -> float | None:
    """Return the highest temperature of all thermal zones in degrees Celsius; None without any."""
    temperatures = []
    for file in zones.glob("thermal_zone*/temp"):
        with contextlib.suppress(OSError, ValueError):
            temperatures.append(int(file.read_text(encoding="ascii")) / 1_000)
    return max((celsius for celsius in temperatures if round(celsius) in PLAUSIBLE_CELSIUS), default=None)


def charge(supplies: Path) -> float | None:
    """Return the charge of the machine's batteries in percent, the mean of several; None without any.

    Batteries of mice and pens have the scope ``Device`` (Linux's sysfs-class-power) and do not count.
    """
    charges = []
    for supply in supplies.glob("*"):
        if _read_text(supply / "type") == "Battery" and _read_text(supply / "scope") != "Device":
            with contextlib.suppress(ValueError):
                charges.append(min(100, max(0, int(_read_text(supply / "capacity")))))
    return sum(charges) / len(charges) if charges else None


def _read_text(file: Path) -> str:
    with contextlib.suppress(OSError, ValueError):
        return file.read_text(encoding="ascii").strip()
    return ""
