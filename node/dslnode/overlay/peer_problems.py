"""What is wrong with peers, told once: the log gets a line when a problem begins or changes, not at every retry."""

from __future__ import annotations

from collections.abc import Collection

from dslnode.telemetry.logs import Logger

MAX_REMEMBERED = 1_000


class ProblemLog:
    """Logs problems with peers. ``standing`` holds the present problem of each configured peer's address."""

    def __init__(self, peers: Collection[str], log: Logger) -> None:
        self.standing: dict[str, str] = {}
        self._peers = peers
        self._log = log
        self._said: dict[str, str] = {}

    def not_reached(self, address: str, why: str) -> None:
        """A peer that is dialled does not answer."""
        if self._is_news(address, why):
            self._log.warning("neighbour not reached", neighbour=address, why=why)

    def refused(self, who: str, reason: str, explanation: str) -> None:
        """Somebody broke the protocol or does not match."""
        if self._is_news(who, explanation, reason):
            self._log.warning("neighbour refused", neighbour=who, reason=reason, why=explanation)

    def solved(self, address: str) -> None:
        """The peer at this address is connected now."""
        self.standing.pop(address, None)
        self._said.pop(address, None)

    def _is_news(self, who: str, why: str, reason: str = "") -> bool:
        """A stranger calls from another port each time, so its host stands for it, and each reason is told once: it
        must not fill the log by taking turns between two. Memory is bounded.
        """
        if who in self._peers:
            self.standing[who] = why
        else:
            who = f"{who.rpartition(':')[0] or who} {reason}"
        if self._said.get(who) == why:
            return False
        if len(self._said) >= MAX_REMEMBERED:
            self._said.clear()
        self._said[who] = why
        return True
