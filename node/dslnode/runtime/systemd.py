"""Tells systemd that the node is ready, alive and stopping, over the datagram socket that it names (sd_notify(3)).

systemd puts the socket's address into NOTIFY_SOCKET for units of type notify, and into WATCHDOG_USEC how many
microseconds may pass between two signs of life. Without these variables nothing is told to anybody.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

STATUS_SECONDS = 10.0
"""How often ``systemctl status`` gets news."""


@dataclass(frozen=True)
class ServiceManager:
    """Where to tell, as the socket module wants it, and how many seconds may pass between two signs of life."""

    address: str
    watchdog: float | None = None

    @property
    def interval(self) -> float:
        """Seconds between two signs of life: at most half of what is allowed, as sd_watchdog_enabled(3) advises."""
        return STATUS_SECONDS if self.watchdog is None else min(STATUS_SECONDS, self.watchdog / 2)

    def tell(self, *facts: str) -> None:
        """Send facts such as ``READY=1``. A service manager that does not take them never stops a node."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            out.sendto("\n".join(facts).encode(), self.address)


def named_in(environment: Mapping[str, str], process: int) -> ServiceManager | None:
    """Return the service manager that started the process of this number, or None if none asks to be told."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return None
    return ServiceManager(
        address.replace("@", "\0", 1) if address[0] == "@" else address, _watchdog(environment, process)
    )


async def keep_told(status: Callable[[], str], environment: Mapping[str, str] = os.environ) -> None:
    """Tell that the node is ready, as long as the event loop turns that it is alive, and at the end that it stops.

    ``status`` is asked for a line that people see in ``systemctl status``.
    """
    manager = named_in(environment, os.getpid())
    if manager is None:
        return
    manager.tell("READY=1", f"STATUS={status()}")
    try:
        while True:
            await asyncio.sleep(manager.interval)
            manager.tell("WATCHDOG=1", f"STATUS={status()}")
    finally:
        manager.tell("STOPPING=1")


def _watchdog(environment: Mapping[str, str], process: int) -> float | None:
    allowed = environment.get("WATCHDOG_USEC", "")
    meant = environment.get("WATCHDOG_PID", str(process)) == str(process)
    return int(allowed) / 1e6 if meant and allowed.isdecimal() and int(allowed) else None
