"""Watches a running node's ticket and revocation list: reloads them when they change, warns before the ticket ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from dslnode.errors import SettingsError
from dslnode.security.identity import Identity, clock_hint, format_day
from dslnode.security.tls_tunnels import TlsTunnels
from dslnode.telemetry.logs import Logger

CHECK_SECONDS = 5.0
REMIND_AFTER = timedelta(days=1)


async def watch_credentials(tunnels: TlsTunnels | None, ends: Callable[[datetime], None], log: Logger) -> None:
    """Check every few seconds for as long as the node lives, if it has a ticket."""
    if tunnels is None:
        return
    watcher = CredentialWatcher(tunnels, ends, log)
    while True:
        watcher.check()
        await asyncio.sleep(CHECK_SECONDS)


class CredentialWatcher:
    """Checks files and clock when told to; logs each change once. ``ends`` is called with the end of the ticket."""

    def __init__(self, tunnels: TlsTunnels, ends: Callable[[datetime], None], log: Logger) -> None:
        self._tunnels = tunnels
        self._credentials = tunnels.credentials
        self._ends = ends
        self._log = log
        self._last_problem = ""
        self._warned: datetime | None = None

    def check(self) -> None:
        """Reload what has changed, cut connections that are not allowed any more, and warn of what ends soon."""
        try:
            if self._credentials.refresh():
                self._log.info(
                    "credentials reloaded",
                    ticket_ends=format_day(self._credentials.identity.not_after),
                    revocation_list=self._credentials.revocations.number,
                )
                self._warned = None
            self._last_problem = ""
        except SettingsError as error:
            if self._last_problem != str(error):
                self._log.error("credentials not reloaded", problem=str(error), remedy="the former ones stay in use")
            self._last_problem = str(error)
        for identity, cause in self._tunnels.recheck():
            self._log.warning("connection cut", neighbour=identity.name, reason=cause.reason, why=str(cause))
        self._ends(self._credentials.identity.not_after)
        self._warn(self._credentials.identity, self._credentials.now())

    def _warn(self, own: Identity, now: datetime) -> None:
        if self._warned is not None and abs(now - self._warned) < REMIND_AFTER:
            return
        if now < own.not_before:
            problem = f"its time has not come: it is valid from {format_day(own.not_before)}, and {clock_hint(now)}"
        elif now >= own.not_after:
            problem = (
                f"it ended on {format_day(own.not_after)}, no neighbour will talk with this node; {clock_hint(now)}"
            )
        elif own.is_expiring(now):
            problem = f"it ends on {format_day(own.not_after)}"
        else:
            return
        self._warned = now
        remedy = f"`dslnode ca renew {own.name}` and copy the new ticket over the old one; no restart is needed"
        self._log.warning("ticket", problem=problem, remedy=remedy)
