"""Limits on TLS handshakes per host: how many may be open, how many may fail. Pure: ``now`` is passed in, in seconds.

A failed handshake costs a cheap board tens of milliseconds, so hosts that keep failing are refused before the next.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import dataclass

from dslnode.addresses import ip_address_of

OPEN_HANDSHAKES = 16
OPEN_HANDSHAKES_OF_A_HOST = 4
FAILURES = 10
"""Failures in a row after which a host must wait."""
SECONDS_PER_FAILURE = 1.0
"""Seconds after which one failure is forgotten."""
MAX_HOSTS = 1_000


@dataclass
class _Failures:
    count: float
    updated: float  # seconds


class HandshakeLimiter:
    """Open handshakes and failures by host. An IPv6 host counts by its /64, which has one owner."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._failed: dict[str, _Failures] = {}

    def refusal_reason(self, host: str, now: float) -> str | None:
        """Return why a handshake is refused now, as a reason for metrics; None if it is allowed."""
        network = network_of(host)
        if self._failures(network, now) >= FAILURES:
            return "rate_limited"
        if self._open.total() >= OPEN_HANDSHAKES or self._open[network] >= OPEN_HANDSHAKES_OF_A_HOST:
            return "too_many"
        return None

    def attempt_started(self, host: str) -> None:
        """Count a handshake as open."""
        self._open[network_of(host)] += 1

    def attempt_ended(self, host: str) -> None:
        """Count a handshake as over, with whatever outcome."""
        network = network_of(host)
        self._open[network] -= 1
        if self._open[network] <= 0:
            del self._open[network]

    def attempt_failed(self, host: str, now: float) -> None:
        """Count a failure. When too many hosts are remembered, the one that failed longest ago is forgotten."""
        network = network_of(host)
        count = self._failures(network, now) + 1
        make_room(self._failed, network)
        self._failed[network] = _Failures(count, now)

    def _failures(self, network: str, now: float) -> float:
        failures = self._failed.get(network)
        if failures is None:
            return 0.0
        return max(0.0, failures.count - (now - failures.updated) / SECONDS_PER_FAILURE)


def make_room(hosts: dict[str, _Failures] | dict[str, float], network: str) -> None:
    """Prepare to store an entry as the newest. When there are too many, the oldest is forgotten."""
    hosts.pop(network, None)
    if len(hosts) >= MAX_HOSTS:
        del hosts[next(iter(hosts))]


def network_of(host: str) -> str:
    """Return the network that limits count a host by: an IPv4 address itself, the /64 of an IPv6 address."""
    address = ip_address_of(host.partition("%")[0])
    return host if address is None or address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))
