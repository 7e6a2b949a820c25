"""Notices within ten seconds that a neighbour has vanished without a word, for less than 20 bytes a second and link.

The kernel's probes (TCP keep-alive, RFC 9293, section 3.8.4) cost half of what an HTTP/2 ping costs, and only one end
need send them: the other end's kernel counts that they came. So who dialled asks first, and the other one only if
that does not happen. Where the kernel does not count (not Linux), gRPC's pings are all there is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import replace

from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.tcp_info import KeepaliveProbes, TcpConnection, connections, probe

TICK_SECONDS = 0.5
LOST_SECONDS = 9.0
"""After which silence a link is given up: half a second more until somebody looks, and a neighbour is missed."""
DIALER_PROBES, LISTENER_PROBES = KeepaliveProbes(6, 1, LOST_SECONDS), KeepaliveProbes(7, 2, LOST_SECONDS)
"""When each end asks. One second of delay is no cause for the answerer to ask, too; a lost probe is sent again."""
AT_ONCE, NEVER = 1, 32_767


class KeepaliveMonitor:
    """When each connection was heard last, and which ones are being asked. Times are the caller's steady clock."""

    def __init__(self) -> None:
        self._heard: dict[int, tuple[int, float]] = {}
        self._asked: set[int] = set()

    def look(self, now: float, open_ones: Mapping[int, tuple[int, KeepaliveProbes]]) -> dict[int, KeepaliveProbes]:
        """Return how to probe those for which that changes.

        ``open_ones`` are segments heard, and how to ask, by the number of the connection.
        """
        fresh = open_ones.keys() - self._heard.keys()
        self._heard = {
            number: (count, now) if self._heard.get(number, (None, 0.0))[0] != count else self._heard[number]
            for number, (count, _) in open_ones.items()
        }
        silent = {number for number, (_, how) in open_ones.items() if now - self._heard[number][1] >= how.idle}
        changed = (silent ^ self._asked) & open_ones.keys() | fresh
        self._asked = silent
        return {
            number: replace(open_ones[number][1], idle=AT_ONCE if number in silent else NEVER) for number in changed
        }


async def keep_alive(network: ConnectionManager) -> None:
    """Watch over the links of a node for as long as it lives."""
    vigil = KeepaliveMonitor()
    while True:
        await asyncio.sleep(TICK_SECONDS)
        ways = {link.remote: DIALER_PROBES if link.we_dialled else LISTENER_PROBES for link in network.links.values()}
        for number, how in vigil.look(time.monotonic(), _watched(connections() if ways else (), ways)).items():
            probe(number, how)


def _watched(
    found: Collection[TcpConnection], ways: Mapping[tuple[str, int], KeepaliveProbes]
) -> dict[int, tuple[int, KeepaliveProbes]]:
    return {one.number: (one.heard, ways[one.remote]) for one in found if one.remote in ways}
