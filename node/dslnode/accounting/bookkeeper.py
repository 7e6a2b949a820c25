"""Keeps the ledger of a running node: books what the network moved, and saves it now and then."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

from dslnode.accounting.ledger import Amounts, Direction, Ledger, Row
from dslnode.accounting.ledger_file import LedgerState, load, pack, save
from dslnode.accounting.ledger_messages import amounts_of
from dslnode.errors import StateError
from dslnode.telemetry.logs import Logger
from dslnode.transport.connection_manager import OTHERS, ConnectionManager

BOOK_SECONDS = 5.0
SAVE_SECONDS = 600.0
"""How often the ledger is written: what a crash loses of it at most, unless the last round's state has it."""


class Bookkeeper:
    """``open`` before the network moves anything, ``keep`` while it does, ``close`` in the end.

    ``directory`` is where the ledger is kept, None for nowhere; ``clock`` gives seconds since 1970.
    """

    def __init__(
        self, network: ConnectionManager, directory: Path | None, log: Logger, clock: Callable[[], float] = time.time
    ) -> None:
        self.ledger = Ledger()
        self.names: dict[str, str] = {}
        self._network = network
        self._directory = directory
        self._log = log
        self._clock = clock
        self._booked: dict[Row, Amounts] = {}
        self.ahead = 0  # bytes that every save reserves
        self.moved = 0  # bytes booked since the process began
        self._limit = 0  # of these, up to which the disk knows of a reserve
        self._reserved_in = 0  # the hour that this reserve is booked under after a crash
        self._saving = asyncio.Lock()
        self._writing = threading.Lock()  # outlives a cancelled save, whose thread still writes

    @property
    def hour(self) -> int:
        """The hour that is booked under now."""
        return self.ledger.hour_at(int(self._clock() // 3_600))

    @property
    def seconds(self) -> float:
        """Seconds since 1970 as the ledger takes them: the clock's, unless that is behind the newest hour."""
        return max(self._clock(), 3_600.0 * self.hour)

    def open(self) -> None:
        """Take over the saved ledger, and book what was moved since it was saved. Raises ``StateError``."""
        books = load(self._directory) if self._directory is not None else None
        if books is not None:
            self.ledger, self.names = books.ledger, dict(books.names)
            recovered = self._recover(books)
            lost = Amounts(unsaved=max(0, books.reserved - recovered))
            if lost.total:
                self.ledger.book(books.hour, OTHERS, Direction.SENT, lost)
        self._booked = self.accounts()

    def book(self) -> None:
        """Book all that was moved since the last time, under the present hour."""
        self._network.measure_traffic()
        hour = self.hour
        for row, now in self.accounts().items():
            before = self._booked.get(row, Amounts())
            if now != before:
                self.ledger.book(hour, *row, now - before)
                self.moved += now.total - before.total
                self._booked[row] = now
        for key, link in self._network.links.items():
            if key in self._network.traffic:  # which is bounded
                self.names[key] = link.neighbour.name

    async def keep(self, booked: Callable[[], None]) -> None:
        """Book every few seconds and save every few minutes, until cancelled; then save for the last time.

        ``booked`` is called whenever something may have been booked.
        """
        try:
            while True:
                saved = time.monotonic()
                while time.monotonic() - saved < SAVE_SECONDS:
                    await asyncio.sleep(BOOK_SECONDS)
                    self.book()
                    booked()
                    if self.ahead:
                        await self.reserve(0)
                await self.save(self.ahead)
        finally:
            await self.save()

    async def reserve(self, size: int) -> bool:
        """Return whether the disk knows that ``size`` bytes more may be moved, now that it was told if need be.

        After a crash what was reserved counts as moved. Without a directory everything ends with the process.
        """
        if self.moved + size <= self._limit and self._reserved_in == self.hour:
            return True
        return await self.save(max(size, self.ahead))

    async def save(self, reserve: int = 0) -> bool:
        """Write the ledger, and that so many bytes may be moved until the next time; return whether it was possible."""
        if self._directory is None:
            return True
        async with self._saving:
            self.book()
            known = {row[0] for period in self.ledger.days.values() for row in period}
            names = {key: name for key, name in self.names.items() if key in known}
            books = LedgerState(self.ledger, names, self._booked, reserve, self.hour)
            limit = self.moved + reserve
            try:
                await asyncio.to_thread(self._write, self._directory, pack(books))
            except StateError as error:
                self._log.error("ledger not saved", problem=str(error))
                return False
            self.names, self._limit, self._reserved_in = names, limit, books.hour
            return True

    def _write(self, directory: Path, content: bytes) -> None:
        with self._writing:
            save(directory, content)

    def _recover(self, books: LedgerState) -> int:
        """Book what the last round's state has and the ledger has not; return it in bytes."""
        recovered = 0
        for row, now in self.accounts().items():
            before = books.booked.get(row, Amounts())
            if now.total > before.total:
                self.ledger.book(books.hour, *row, now - before)
                recovered += now.total - before.total
        return recovered

    def accounts(self) -> dict[Row, Amounts]:
        """Return what was moved since the node's first start. Safe from any thread."""
        return {
            (key, direction): amounts_of(traffic.sent if direction is Direction.SENT else traffic.received)
            for key, traffic in list(self._network.traffic.items())
            for direction in Direction
        }
