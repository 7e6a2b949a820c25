"""Reads how hot and how busy this machine is, how full its batteries are, and what its clock says."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from dslnode.runtime.training_limits import HostState

ZONES = Path("/sys/class/thermal")
SUPPLIES = Path("/sys/class/power_supply")
PLAUSIBLE = range(-40, 200)
"""Degrees Celsius; some sensors say something else when they are switched off."""


def read_host_state() -> HostState:
    """Return it. What cannot be read is left out."""
    now = time.localtime()
    return HostState(hottest(ZONES), os.getloadavg()[0], 60 * now.tm_hour + now.tm_min, charge(SUPPLIES))


def hottest(zones: Path) -> float | None:
    """Return the highest temperature of the kernel's thermal zones, which count in thousandths; None without any."""
    found = []
    for zone in zones.glob("thermal_zone*/temp"):
        with contextlib.suppress(OSError, ValueError):
            found.append(int(zone.read_text(encoding="ascii")) / 1_000)
    return max((degrees for degrees in found if round(degrees) in PLAUSIBLE), default=None)


def charge(supplies: Path) -> float | None:
    """Return how full the machine's batteries are, 0 to 100, the mean of several; None without any.

    Those of mice and pens have the scope ``Device`` (Linux's sysfs-class-power) and do not count.
    """
    found = []
    for supply in supplies.glob("*"):
        if _text(supply / "type") == "Battery" and _text(supply / "scope") != "Device":
            with contextlib.suppress(ValueError):
                found.append(min(100, max(0, int(_text(supply / "capacity")))))
    return sum(found) / len(found) if found else None


def _text(file: Path) -> str:
    with contextlib.suppress(OSError, ValueError):
        return file.read_text(encoding="ascii").strip()
    return ""
