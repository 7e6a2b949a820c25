"""Asks a running node, from a program: its status and its ledger."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from dslnode.accounting.ledger import Period, start_of
from dslnode.accounting.ledger_messages import ask_ledger
from dslnode.addresses import check_address
from dslnode.errors import SettingsError
from dslnode.telemetry.status_json import as_dict
from dslnode.transport.client import ask_status


class StatusClient:
    """Asks the node at ``HOST:PORT``; a node with a ticket answers those that show one of the same authority.

    ``timeout`` is in seconds. Calls block: from a coroutine, call them by ``asyncio.to_thread``. Raises
    ``SettingsError`` if the address or the ticket cannot be used, ``UnreachableError`` if the node does not answer.
    """

    def __init__(self, address: str, *, ticket: str | Path | None = None, timeout: float = 3.0) -> None:
        try:
            self.address = check_address(address)
        except ValueError as error:
            raise SettingsError(f"address: {error}") from error
        self.timeout = timeout
        self._ticket = None if ticket is None else Path(ticket)

    def status(self) -> dict[str, Any]:
        """Return round, accuracy, neighbours and traffic: what ``dslnode status --json`` prints."""
        return as_dict(ask_status(self.address, self.timeout, self._ticket))

    def ledger(self, period: Literal["hour", "day"] = "day") -> list[dict[str, Any]]:
        """Return what was sent and received, a row for each period (UTC), neighbour and direction; bits and bytes."""
        length = Period(period)
        return [
            {
                "start": start_of(length, number).isoformat(),
                "neighbour": name,
                "node_id": key,
                "direction": str(direction),
                **asdict(amounts),
                "total": amounts.total,
            }
            for number, key, name, direction, amounts in ask_ledger(self.address, length, self.timeout, self._ticket)
        ]
