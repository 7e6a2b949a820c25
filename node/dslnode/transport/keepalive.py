"""Notices within ten seconds that a neighbour vanished, for less than 20 bytes per second and link.

The kernel's TCP keepalive probes (RFC 9293, section 3.8.4) cost half of an HTTP/2 ping, and one side's are enough: the
other side's kernel counts them. So the dialler probes first, and the answerer only if no probe comes. Where the kernel
does not count segments (not Linux), only gRPC's pings are left.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from dataclasses import replace

from dslnode.transport.connection_manager import ConnectionManager
from dslnode.transport.tcp_info import KeepaliveProbes, TcpConnection, set_keepalive, tcp_connections

TICK_SECONDS = 0.5
LOST_SECONDS = 9.0
"""Seconds of silence after which a connection is lost. It is noticed at most half a second later."""
DIALER_PROBES, LISTENER_PROBES = KeepaliveProbes(6, 1, LOST_SECONDS), KeepaliveProbes(7, 2, LOST_SECONDS)
"""The answerer starts a second later than the dialler, so that a delayed probe does not make it start."""
AT_ONCE, NEVER = 1, 32_767
"""Values of ``idle``: probe now, and the longest that Linux takes."""


class KeepaliveMonitor:
    """Decides which connections to probe. ``now`` is the caller's steady clock, in seconds."""

    def __init__(self) -> None:
        self._last_heard: dict[int, tuple[int, float]] = {}  # segments received, and since when it is so many
        self._probed: set[int] = set()

    def update(self, now: float, watched: Mapping[int, tuple[int, KeepaliveProbes]]) -> dict[int, KeepaliveProbes]:
        """Return the new probes of the connections for which they change, by inode.

        ``watched`` has the segments received and the probes to use, by inode.
        """
        new = watched.keys() - self._last_heard.keys()
        self._last_heard = {
            inode: (segments, now)
            if self._last_heard.get(inode, (None, 0.0))[0] != segments
            else self._last_heard[inode]
            for inode, (segments, _) in watched.items()
        }
        silent = {inode for inode, (_, probes) in watched.items() if now - self._last_heard[inode][1] >= probes.idle}
        changed = (silent ^ self._probed) & watched.keys() | new
        self._probed = silent
        return {inode: replace(watched[inode][1], idle=AT_ONCE if inode in silent else NEVER) for inode in changed}


async def keep_alive(connections: ConnectionManager) -> None:
    """Watch the links of a node for as long as it lives."""
    monitor = KeepaliveMonitor()
    while True:
        await asyncio.sleep(TICK_SECONDS)
        probes = {
            link.remote: DIALER_PROBES if link.we_dialled else LISTENER_PROBES for link in connections.links.values()
        }
        watched = _watched(tcp_connections() if probes else (), probes)
        for inode, changed in monitor.update(time.monotonic(), watched).items():
            set_keepalive(inode, changed)


def _watched(
    connections: Collection[TcpConnection], probes: Mapping[tuple[str, int], KeepaliveProbes]
) -> dict[int, tuple[int, KeepaliveProbes]]:
    return {
        connection.inode: (connection.segments_received, probes[connection.remote])
        for connection in connections
        if connection.remote in probes
    }
