"""Keeps the ledger of a running node: books the traffic of all links every few seconds, and saves it now and then."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

from dslnode.accounting.ledger import Amounts, Direction, Ledger, Row
from dslnode.accounting.ledger_file import LedgerState, LoadedLedger, pack, read_ledger, save
from dslnode.accounting.ledger_messages import amounts_of
from dslnode.accounting.metered_network import MeteredNetwork
from dslnode.errors import StateError
from dslnode.telemetry.logs import Logger
from dslnode.telemetry.recurring_problem import RecurringProblem
from dslnode.transport.connection_manager import OTHERS

BOOK_INTERVAL_SECONDS = 5.0
SAVE_INTERVAL_SECONDS = 600.0
"""How often the ledger is written: what a crash loses of it at most, unless the last round's state has it."""


class Bookkeeper:
    """``open`` before any traffic, ``run`` while there is some, which saves once more in the end.

    ``directory`` is where the ledger is saved, None for nowhere; ``count_failure`` is called when it could not be
    saved; ``clock`` returns seconds since 1970.
    """

    def __init__(
        self,
        network: MeteredNetwork,
        directory: Path | None,
        log: Logger,
        clock: Callable[[], float] = time.time,
        *,
        count_failure: Callable[[], None] = lambda: None,
    ) -> None:
        self.ledger = Ledger()
        self.peer_names: dict[str, str] = {}
        self.reserve_bytes = 0  # bytes that every save reserves
        self.booked_bytes = 0  # since the process began
        self._network = network
        self._directory = directory
        self._log = log
        self._problem = RecurringProblem("ledger not saved", "ledger saved again", log, count_failure)
        self._clock = clock
        self._booked: dict[Row, Amounts] = {}
        self._reserved_until = 0  # value of booked_bytes up to which the disk knows of a reserve
        self._reserved_hour = 0  # the hour that this reserve is booked under after a crash
        self._saving = asyncio.Lock()
        self._writing = threading.Lock()  # outlives a cancelled save, whose thread still writes

    @property
    def hour(self) -> int:
        """The hour that is booked under now, in hours since 1970."""
        return self.ledger.hour_at(int(self._clock() // 3_600))

    @property
    def now(self) -> float:
        """Seconds since 1970 as the ledger takes them: the clock's, unless that is behind the newest hour."""
        return max(self._clock(), 3_600.0 * self.hour)

    def open(self, spent_if_lost: int = 0) -> None:
        """Load the saved ledger, and book what was transferred since it was saved. Raises ``StateError``.

        ``spent_if_lost`` bytes are booked under the present hour if there was a ledger, and it cannot be read.
        """
        if self._directory is None:
            self._booked = self.totals()
            return
        loaded = read_ledger(self._directory)
        if loaded.state is not None:
            self._take(loaded.state)
        if loaded.is_lost and spent_if_lost:
            self.ledger.book(self.hour, OTHERS, Direction.SENT, Amounts(unsaved=spent_if_lost))
        self._booked = self.totals()
        if loaded.problem:  # what a crash from now on must not take back
            save(self._directory, pack(self._as_state(0)), set_aside=True)
            self._log_loaded(loaded, spent_if_lost)

    def _take(self, state: LedgerState) -> None:
        self.ledger, self.peer_names = state.ledger, dict(state.names)
        recovered = self._recover(state)
        lost = Amounts(unsaved=max(0, state.reserved - recovered))
        if lost.total:
            self.ledger.book(state.hour, OTHERS, Direction.SENT, lost)

    def _log_loaded(self, loaded: LoadedLedger, spent: int) -> None:
        if loaded.is_lost:
            outcome = "the data cap counts as used up until its period ends" if spent else "a new ledger begins"
            self._log.error("ledger lost", why=loaded.problem, outcome=outcome)
        else:
            self._log.warning("copy of the ledger taken", why=loaded.problem)

    def book(self) -> None:
        """Book the traffic since the last call, under the present hour."""
        self._network.measure_traffic()
        hour = self.hour
        for row, now in self.totals().items():
            before = self._booked.get(row, Amounts())
            if now != before:
                self.ledger.book(hour, *row, now - before)
                self.booked_bytes += now.total - before.total
                self._booked[row] = now
        for key, link in self._network.links.items():
            if key in self._network.traffic:  # which is bounded
                self.peer_names[key] = link.neighbour.name

    async def run(self, on_booked: Callable[[], None]) -> None:
        """Book every few seconds and save every few minutes, until cancelled; then save once more.

        ``on_booked`` is called after every booking.
        """
        try:
            while True:
                saved = time.monotonic()
                while time.monotonic() - saved < SAVE_INTERVAL_SECONDS:
                    await asyncio.sleep(BOOK_INTERVAL_SECONDS)
                    self.book()
                    on_booked()
                    if self.reserve_bytes:
                        await self.reserve(0)
                await self.save(self.reserve_bytes)
        finally:
            await self.save(is_last=True)

    async def reserve(self, size: int) -> bool:
        """Return whether the saved ledger allows ``size`` bytes more; save it with a new reserve if need be.

        After a crash, what was reserved counts as transferred. Without a directory everything ends with the process.
        """
        if self.booked_bytes + size <= self._reserved_until and self._reserved_hour == self.hour:
            return True
        return await self.save(max(size, self.reserve_bytes))

    async def save(self, reserve: int = 0, *, is_last: bool = False) -> bool:
        """Write the ledger with a reserve of bytes that may be transferred until the next save; return success.

        A failure of the save that ``is_last`` is logged in any case, others when they begin and change.
        """
        if self._directory is None:
            return True
        async with self._saving:
            self.book()
            state = self._as_state(reserve)
            reserved_until = self.booked_bytes + reserve
            try:
                await asyncio.to_thread(self._write, self._directory, pack(state))
            except StateError as error:
                self._problem.failed(str(error), is_last=is_last)
                return False
            self._problem.succeeded()
            self.peer_names = dict(state.names)
            self._reserved_until, self._reserved_hour = reserved_until, state.hour
            return True

    def _as_state(self, reserve: int) -> LedgerState:
        """Return what is saved: the ledger, and the names of the neighbours in it."""
        in_ledger = {row[0] for period in self.ledger.days.values() for row in period}
        names = {key: name for key, name in self.peer_names.items() if key in in_ledger}
        return LedgerState(self.ledger, names, self._booked, reserve, self.hour)

    def _write(self, directory: Path, content: bytes) -> None:
        with self._writing:
            save(directory, content)

    def _recover(self, state: LedgerState) -> int:
        """Book what the last round's state has and the ledger has not; return it in bytes."""
        recovered = 0
        for row, now in self.totals().items():
            before = state.booked.get(row, Amounts())
            if now.total > before.total:
                self.ledger.book(state.hour, *row, now - before)
                recovered += now.total - before.total
        return recovered

    def totals(self) -> dict[Row, Amounts]:
        """Return all traffic since the node's first start, by neighbour and direction. Safe from any thread."""
        return {
            (key, direction): amounts_of(traffic.sent if direction is Direction.SENT else traffic.received)
            for key, traffic in list(self._network.traffic.items())
            for direction in Direction
        }
