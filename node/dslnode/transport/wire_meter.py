"""Books what the kernel moved to the accounts of the neighbours it moved it for, connection by connection."""

from __future__ import annotations

from collections.abc import Mapping

from dslnode.transport.tcp_info import TcpConnection, connections
from dslnode.transport.traffic import Traffic

LOOPBACK = ("127.", "::1")


class WireMeter:
    """Remembers what each open connection had moved when it was last read."""

    def __init__(self) -> None:
        self._read: dict[int, TcpConnection] = {}

    def read(self, accounts: Mapping[tuple[str, int], Traffic], others: Traffic) -> None:
        """Add what was moved since the last reading to the account of the far end.

        Connections without one, as of strangers, of refused handshakes, or of a Prometheus, go to ``others``;
        such over loopback cost nothing and are left out.
        """
        now = {connection.number: connection for connection in connections()}
        for number, connection in now.items():
            traffic = accounts.get(connection.remote)
            if traffic is None and not connection.remote[0].startswith(LOOPBACK):
                traffic = others
            if traffic is not None:
                _add(traffic, connection, self._read.get(number, TcpConnection(connection.remote, 0, 0)))
        self._read = now


def _add(traffic: Traffic, now: TcpConnection, before: TcpConnection) -> None:
    if now.remote != before.remote or now.sent < before.sent:  # the number was given to another connection
        before = TcpConnection(now.remote, 0, 0)
    traffic.sent.link_bytes += now.sent - before.sent
    traffic.sent.resent_bytes += now.resent - before.resent
    traffic.received.link_bytes += now.received - before.received
