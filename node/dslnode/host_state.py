"""Reads how hot and how busy this machine is, and what its clock says."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from dslnode.yielding import HostState

ZONES = Path("/sys/class/thermal")
PLAUSIBLE = range(-40, 200)
"""Degrees Celsius; some sensors say something else when they are switched off."""


def read_host_state() -> HostState:
    """Return it. Sensors that cannot be read are left out."""
    now = time.localtime()
    return HostState(hottest(ZONES), os.getloadavg()[0], 60 * now.tm_hour + now.tm_min)


def hottest(zones: Path) -> float | None:
    """Return the highest temperature of the kernel's thermal zones, which count in thousandths; None without any."""
    found = []
    for zone in zones.glob("thermal_zone*/temp"):
        with contextlib.suppress(OSError, ValueError):
            found.append(int(zone.read_text(encoding="ascii")) / 1_000)
    return max((degrees for degrees in found if round(degrees) in PLAUSIBLE), default=None)
