"""Whom to let knock: how many handshakes a host may have open, and how often it may fail. Pure; times are handed in.

A failed handshake costs a cheap board tens of milliseconds, so hosts that keep failing are turned away before the next.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import dataclass

OPEN_HANDSHAKES = 16
OPEN_HANDSHAKES_OF_A_HOST = 4
FAILURES = 10
"""Failures in a row that a host may have before it has to wait."""
SECONDS_PER_FAILURE = 1.0
"""Seconds after which one failure is forgotten."""
MAX_HOSTS = 1_000


@dataclass
class _Record:
    failures: float
    since: float


class HandshakeLimiter:
    """Remembers hosts by address, IPv6 ones by their /64, which one owner has whole. Times are in seconds."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._failed: dict[str, _Record] = {}

    def refusal(self, host: str, now: float) -> str | None:
        """Return why a host may not begin a handshake now, as a reason for the metrics; None if it may."""
        who = network_of(host)
        if self._failures(who, now) >= FAILURES:
            return "rate_limited"
        if self._open.total() >= OPEN_HANDSHAKES or self._open[who] >= OPEN_HANDSHAKES_OF_A_HOST:
            return "too_many"
        return None

    def began(self, host: str) -> None:
        """Count a handshake as open."""
        self._open[network_of(host)] += 1

    def ended(self, host: str) -> None:
        """Count a handshake as over, however it ended."""
        who = network_of(host)
        self._open[who] -= 1
        if self._open[who] <= 0:
            del self._open[who]

    def failed(self, host: str, now: float) -> None:
        """Count a failure. When too many hosts are remembered, the one that failed longest ago is forgotten."""
        who = network_of(host)
        failures = self._failures(who, now) + 1
        make_room(self._failed, who)
        self._failed[who] = _Record(failures, now)

    def _failures(self, who: str, now: float) -> float:
        record = self._failed.get(who)
        return 0.0 if record is None else max(0.0, record.failures - (now - record.since) / SECONDS_PER_FAILURE)


def make_room(hosts: dict[str, _Record] | dict[str, float], who: str) -> None:
    """Let a host that is remembered next become the newest; when there are too many, the oldest is forgotten."""
    hosts.pop(who, None)
    if len(hosts) >= MAX_HOSTS:
        del hosts[next(iter(hosts))]


def network_of(host: str) -> str:
    """Return what stands for a host: an IPv4 address itself, the /64 of an IPv6 address."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    return host if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))
