"""Which side probes a silent link, and when."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace

from dslnode.transport.keepalive import (
    AT_ONCE,
    DIALER_PROBES,
    LISTENER_PROBES,
    LOST_SECONDS,
    NEVER,
    TICK_SECONDS,
    KeepaliveMonitor,
)
from dslnode.transport.tcp_info import KeepaliveProbes, set_keepalive, tcp_connections

NOTICED_SECONDS = 10.0


def at_once(probes: KeepaliveProbes) -> KeepaliveProbes:
    return replace(probes, idle=AT_ONCE)


def never(probes: KeepaliveProbes) -> KeepaliveProbes:
    return replace(probes, idle=NEVER)


def test_a_connection_that_receives_is_never_probed() -> None:
    monitor = KeepaliveMonitor()
    assert monitor.update(0.0, {1: (5, DIALER_PROBES)}) == {1: never(DIALER_PROBES)}, "a new connection is not probed"
    for second in range(1, 60):
        assert monitor.update(float(second), {1: (5 + second, DIALER_PROBES)}) == {}


def test_the_dialler_probes_first_and_stops_when_it_is_answered() -> None:
    monitor = KeepaliveMonitor()
    both = {1: (5, DIALER_PROBES), 2: (5, LISTENER_PROBES)}
    monitor.update(0.0, both)
    assert monitor.update(5.9, both) == {}
    assert monitor.update(6.0, both) == {1: at_once(DIALER_PROBES)}
    assert monitor.update(6.5, {1: (6, DIALER_PROBES), 2: (6, LISTENER_PROBES)}) == {1: never(DIALER_PROBES)}
    assert monitor.update(12.4, {1: (6, DIALER_PROBES), 2: (6, LISTENER_PROBES)}) == {}


def test_the_answerer_probes_if_the_dialler_does_not() -> None:
    monitor = KeepaliveMonitor()
    monitor.update(0.0, {2: (5, LISTENER_PROBES)})
    assert monitor.update(6.9, {2: (5, LISTENER_PROBES)}) == {}
    assert monitor.update(7.0, {2: (5, LISTENER_PROBES)}) == {2: at_once(LISTENER_PROBES)}


def test_a_closed_connection_is_forgotten_and_its_inode_may_be_given_again() -> None:
    monitor = KeepaliveMonitor()
    monitor.update(0.0, {1: (5, DIALER_PROBES)})
    assert monitor.update(100.0, {}) == {}
    assert monitor.update(101.0, {1: (5, DIALER_PROBES)}) == {1: never(DIALER_PROBES)}


def test_the_intervals_leave_room_for_a_lost_probe_within_ten_seconds() -> None:
    """The kernel gives up at the first probe after ``LOST_SECONDS`` of silence."""
    for probes in (DIALER_PROBES, LISTENER_PROBES):
        probed_at = probes.idle + TICK_SECONDS
        while probed_at < LOST_SECONDS:
            probed_at += probes.interval
        assert probed_at <= NOTICED_SECONDS
    assert LOST_SECONDS - DIALER_PROBES.idle >= 2 * DIALER_PROBES.interval
    assert LISTENER_PROBES.idle > DIALER_PROBES.idle + TICK_SECONDS


def test_the_kernel_takes_the_probes_of_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        remote = server.getsockname()
        [inode] = [connection.inode for connection in tcp_connections() if connection.remote == remote]
        set_keepalive(inode, KeepaliveProbes(3, 2, 9.0))
        options = [
            client.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_USER_TIMEOUT)
        ]
        assert options == [3, 2, 9_000]
        assert struct.unpack("i", client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 4)) == (1,)
    set_keepalive(inode, KeepaliveProbes(3, 2, 9.0))  # closed meanwhile: nothing to do
