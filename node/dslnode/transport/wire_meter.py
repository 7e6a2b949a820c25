"""Adds the bytes that the kernel moved per connection to the account of the neighbour at its other side."""

from __future__ import annotations

from collections.abc import Mapping

from dslnode.transport.tcp_info import TcpConnection, tcp_connections
from dslnode.transport.traffic import Traffic

LOOPBACK = ("127.", "::1")


class WireMeter:
    """The counters of each open connection at the last measurement, by the inode of its socket."""

    def __init__(self) -> None:
        self._last: dict[int, TcpConnection] = {}

    def measure(self, accounts: Mapping[tuple[str, int], Traffic], others: Traffic) -> None:
        """Add the bytes since the last measurement to the accounts, by host and port of the other side.

        Connections without an account go to ``others``: those of strangers, of refused handshakes, of Prometheus. Over
        loopback these cost nothing and are left out.
        """
        current = {connection.inode: connection for connection in tcp_connections()}
        for inode, connection in current.items():
            traffic = accounts.get(connection.remote)
            if traffic is None and not connection.remote[0].startswith(LOOPBACK):
                traffic = others
            if traffic is not None:
                _add(traffic, connection, self._last.get(inode, TcpConnection(connection.remote, 0, 0)))
        self._last = current


def _add(traffic: Traffic, now: TcpConnection, before: TcpConnection) -> None:
    if now.remote != before.remote or now.sent < before.sent:  # the inode was given to another connection
        before = TcpConnection(now.remote, 0, 0)
    traffic.sent.link_bytes += now.sent - before.sent
    traffic.sent.resent_bytes += now.resent - before.resent
    traffic.received.link_bytes += now.received - before.received
