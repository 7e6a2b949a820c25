"""Logs problems with peers when they begin or change, not at every retry."""

from __future__ import annotations

from collections.abc import Collection

from dslnode.telemetry.logs import Logger

MAX_REMEMBERED = 1_000


class ProblemLog:
    """Logs each problem once. ``current`` maps addresses of configured peers to their present problem."""

    def __init__(self, peers: Collection[str], log: Logger) -> None:
        self.current: dict[str, str] = {}
        self._peers = peers
        self._log = log
        self._last_logged: dict[str, str] = {}

    def peer_unreachable(self, address: str, why: str) -> None:
        """Log that a dialled peer does not answer."""
        if self._is_new(address, why):
            self._log.warning("neighbour not reached", neighbour=address, why=why)

    def peer_refused(self, peer: str, reason: str, explanation: str) -> None:
        """Log that a node broke the protocol or does not match; ``peer`` is its name or address."""
        if self._is_new(peer, explanation, reason):
            self._log.warning("neighbour refused", neighbour=peer, reason=reason, why=explanation)

    def resolved(self, address: str) -> None:
        """Forget the problem of the peer at this address: it is connected now."""
        self.current.pop(address, None)
        self._last_logged.pop(address, None)

    def _is_new(self, peer: str, why: str, reason: str = "") -> bool:
        """Return whether a problem has begun or changed; memory is bounded.

        A stranger calls from another port each time. So its host stands for it, and each reason is logged once: it
        must not fill the log by alternating between two.
        """
        if peer in self._peers:
            self.current[peer] = why
        else:
            peer = f"{peer.rpartition(':')[0] or peer} {reason}"
        if self._last_logged.get(peer) == why:
            return False
        if len(self._last_logged) >= MAX_REMEMBERED:
            self._last_logged.clear()
        self._last_logged[peer] = why
        return True
