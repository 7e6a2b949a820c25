"""Limits on TLS handshakes per host: how many may be open, how many may fail. Pure: ``now`` is passed in, in seconds.

A failed handshake costs a cheap board tens of milliseconds, so hosts that keep failing are refused before the next.
An open one that says nothing costs only its place. When places run out, a new handshake takes the place of another
(as SYN caches do, RFC 4987): of the host and of the network prefix that hold most, silent ones and old ones first.
Hosts that have proved to hold a ticket have places of their own.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import dataclass

from dslnode.addresses import ip_address_of

OPEN_HANDSHAKES = 64
OPEN_HANDSHAKES_OF_PROVEN_HOSTS = 16
"""Places that only hosts get from which a handshake has succeeded within ``PROVEN_SECONDS``."""
OPEN_HANDSHAKES_OF_A_HOST = 4
PATIENCE_SECONDS = 1.0
"""Age from which a handshake may lose its place to a new one."""
PROVEN_SECONDS = 86_400.0
FAILURES = 10
"""Failures in a row after which a host must wait."""
SECONDS_PER_FAILURE = 1.0
"""Seconds after which one failure is forgotten."""
MAX_HOSTS = 1_000


@dataclass
class _Failures:
    count: float
    updated: float  # seconds


@dataclass(eq=False)
class OpenHandshake:
    """A handshake that holds a place. ``heard`` becomes true when the other side has said anything."""

    host: str
    prefix: str
    began: float  # seconds
    proven: bool
    heard: bool = False


@dataclass(frozen=True)
class Admission:
    """The answer to an attempt: a place, perhaps ``displaced`` from another handshake, or why there is none."""

    handshake: OpenHandshake | None = None
    displaced: OpenHandshake | None = None
    reason: str = ""


class HandshakeLimiter:
    """Open handshakes and failures by host. An IPv6 host counts by its /64, which has one owner."""

    def __init__(self) -> None:
        self._open: dict[OpenHandshake, None] = {}  # in the order in which they began
        self._failed: dict[str, _Failures] = {}
        self._proven: dict[str, float] = {}  # host: seconds

    def admit(self, host: str, now: float) -> Admission:
        """Give an attempt a place, or say why not, as a reason for metrics. ``attempt_ended`` gives it back."""
        network = network_of(host)
        if self._failures(network, now) >= FAILURES:
            return Admission(reason="rate_limited")
        proven = now - self._proven.get(network, -PROVEN_SECONDS) < PROVEN_SECONDS
        displaced = None
        rivals = self._rivals(network, proven=proven)
        if rivals:
            displaced = self._displaceable(rivals, now)
            if displaced is None:
                return Admission(reason="too_many")
            self.attempt_ended(displaced)
        handshake = OpenHandshake(network, prefix_of(host), now, proven)
        self._open[handshake] = None
        return Admission(handshake, displaced)

    def attempt_ended(self, handshake: OpenHandshake) -> None:
        """Give back the place of a handshake that is over, with whatever outcome."""
        self._open.pop(handshake, None)

    def attempt_succeeded(self, handshake: OpenHandshake, now: float) -> None:
        """Remember that the host holds a ticket."""
        make_room(self._proven, handshake.host)
        self._proven[handshake.host] = now

    def attempt_failed(self, handshake: OpenHandshake, now: float) -> None:
        """Count a failure. When too many hosts are remembered, the one that failed longest ago is forgotten."""
        count = self._failures(handshake.host, now) + 1
        make_room(self._failed, handshake.host)
        self._failed[handshake.host] = _Failures(count, now)

    def _rivals(self, network: str, *, proven: bool) -> list[OpenHandshake]:
        """Return the handshakes of which one must end before another of this host can begin; none if there is room."""
        own = [handshake for handshake in self._open if handshake.host == network]
        if len(own) >= OPEN_HANDSHAKES_OF_A_HOST:
            return own
        pool = [handshake for handshake in self._open if handshake.proven is proven]
        room = OPEN_HANDSHAKES_OF_PROVEN_HOSTS if proven else OPEN_HANDSHAKES
        return pool if len(pool) >= room else []

    def _displaceable(self, rivals: list[OpenHandshake], now: float) -> OpenHandshake | None:
        """Return the handshake that loses its place; None if those of the host that holds most have just begun."""
        of_host, of_prefix = Counter(each.host for each in rivals), Counter(each.prefix for each in rivals)
        most = max((of_host[each.host], of_prefix[each.prefix]) for each in rivals)
        old = [
            each
            for each in rivals
            if now - each.began >= PATIENCE_SECONDS and (of_host[each.host], of_prefix[each.prefix]) == most
        ]
        return max(old, key=lambda each: not each.heard, default=None)

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


def prefix_of(host: str) -> str:
    """Return the prefix that one operator is likely to hold: the /24 of an IPv4 address, the /48 of an IPv6 address."""
    address = ip_address_of(host.partition("%")[0])
    if address is None:
        return host
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))
