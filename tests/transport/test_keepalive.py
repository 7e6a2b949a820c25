"""Who asks whom, and when, whether it still lives."""

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
from dslnode.transport.tcp_info import KeepaliveProbes, connections, probe

NOTICED_SECONDS = 10.0


def ask(how: KeepaliveProbes) -> KeepaliveProbes:
    return replace(how, idle=AT_ONCE)


def wait(how: KeepaliveProbes) -> KeepaliveProbes:
    return replace(how, idle=NEVER)


def test_a_connection_that_is_heard_is_never_asked() -> None:
    vigil = KeepaliveMonitor()
    assert vigil.look(0.0, {1: (5, DIALER_PROBES)}) == {1: wait(DIALER_PROBES)}, "at first sight it is told to wait"
    for second in range(1, 60):
        assert vigil.look(float(second), {1: (5 + second, DIALER_PROBES)}) == {}


def test_who_dialled_asks_first_and_waits_again_when_it_is_answered() -> None:
    vigil = KeepaliveMonitor()
    both = {1: (5, DIALER_PROBES), 2: (5, LISTENER_PROBES)}
    vigil.look(0.0, both)
    assert vigil.look(5.9, both) == {}
    assert vigil.look(6.0, both) == {1: ask(DIALER_PROBES)}
    assert vigil.look(6.5, {1: (6, DIALER_PROBES), 2: (6, LISTENER_PROBES)}) == {1: wait(DIALER_PROBES)}
    assert vigil.look(12.4, {1: (6, DIALER_PROBES), 2: (6, LISTENER_PROBES)}) == {}


def test_the_other_side_asks_if_nobody_did() -> None:
    vigil = KeepaliveMonitor()
    vigil.look(0.0, {2: (5, LISTENER_PROBES)})
    assert vigil.look(6.9, {2: (5, LISTENER_PROBES)}) == {}
    assert vigil.look(7.0, {2: (5, LISTENER_PROBES)}) == {2: ask(LISTENER_PROBES)}


def test_what_is_closed_is_forgotten_and_its_number_may_be_given_again() -> None:
    vigil = KeepaliveMonitor()
    vigil.look(0.0, {1: (5, DIALER_PROBES)})
    assert vigil.look(100.0, {}) == {}
    assert vigil.look(101.0, {1: (5, DIALER_PROBES)}) == {1: wait(DIALER_PROBES)}


def test_the_figures_leave_room_for_a_lost_probe_and_ten_seconds_for_all() -> None:
    """The kernel gives up when the first answer is due after ``LOST_SECONDS``; each end asks so often until then."""
    for how in (DIALER_PROBES, LISTENER_PROBES):
        asked = how.idle + TICK_SECONDS
        while asked < LOST_SECONDS:
            asked += how.interval
        assert asked <= NOTICED_SECONDS
    assert LOST_SECONDS - DIALER_PROBES.idle >= 2 * DIALER_PROBES.interval
    assert LISTENER_PROBES.idle > DIALER_PROBES.idle + TICK_SECONDS


def test_the_kernel_probes_a_connection_as_it_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        [number] = [one.number for one in connections() if one.remote == server.getsockname()]
        probe(number, KeepaliveProbes(3, 2, 9.0))
        found = [
            client.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_USER_TIMEOUT)
        ]
        assert found == [3, 2, 9_000]
        assert struct.unpack("i", client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 4)) == (1,)
    probe(number, KeepaliveProbes(3, 2, 9.0))  # closed meanwhile: nothing to do
