"""Sockets: what the kernel says about this process's tcp_connections."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator

import pytest

from dslnode.transport import tcp_info
from dslnode.transport.tcp_info import TcpConnection, tcp_connections
from tests import descriptors

HEADERS = 20 + 12 + 20
linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")


@pytest.fixture
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give both ends of a TCP connection on loopback."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as dialled,
    ):
        accepted, _ = listener.accept()
        with accepted:
            yield dialled, accepted


def measured(remote: tuple[str, int]) -> TcpConnection:
    """Return the one connection to a far end."""
    [found] = [connection for connection in tcp_connections() if connection.remote == remote]
    return found


def receive(end: socket.socket, size: int) -> None:
    """Read so many bytes."""
    while size:
        size -= len(end.recv(size))


@linux_only
def test_both_ends_of_a_connection_see_what_was_sent(connected: tuple[socket.socket, socket.socket]) -> None:
    dialled, accepted = connected
    before = measured(dialled.getpeername()), measured(accepted.getpeername())
    for _ in range(10):
        dialled.sendall(bytes(1_000))
        receive(accepted, 1_000)
    accepted.sendall(bytes(300))
    receive(dialled, 300)
    at_dialled, at_accepted = measured(dialled.getpeername()), measured(accepted.getpeername())
    assert 10_000 <= at_dialled.sent - before[0].sent < 20_000
    assert 300 <= at_dialled.received - before[0].received < 3_000
    assert 10_000 <= at_accepted.received - before[1].received < 20_000
    assert 300 <= at_accepted.sent - before[1].sent < 3_000


@linux_only
def test_listeners_datagram_and_local_sockets_are_no_connections() -> None:
    before = tcp_connections()
    here, there = socket.socketpair()
    with (
        here,
        there,
        socket.create_server(("127.0.0.1", 0)),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram,
    ):
        datagram.connect(("127.0.0.1", 9))
        assert [connection.remote for connection in tcp_connections()] == [connection.remote for connection in before]


@linux_only
def test_the_counters_can_be_read_without_a_descriptor_left(connected: tuple[socket.socket, socket.socket]) -> None:
    remote = connected[0].getpeername()
    with descriptors.none_left():
        assert remote in [connection.remote for connection in tcp_connections()]


@linux_only
@pytest.mark.usefixtures("connected")
def test_reading_the_counters_leaves_no_descriptors_open() -> None:
    tcp_connections()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        tcp_connections()
    assert len(os.listdir("/proc/self/fd")) <= before


@linux_only
def test_reading_the_counters_leaves_the_connection_as_it_was(connected: tuple[socket.socket, socket.socket]) -> None:
    dialled, accepted = connected
    accepted.setblocking(False)
    tcp_connections()
    assert dialled.getblocking()
    assert not accepted.getblocking()
    dialled.sendall(b"still here")
    accepted.setblocking(True)
    assert accepted.recv(100) == b"still here"


@linux_only
def test_a_closed_connection_is_gone(connected: tuple[socket.socket, socket.socket]) -> None:
    dialled, _ = connected
    remote = dialled.getpeername()
    dialled.close()
    assert remote not in [connection.remote for connection in tcp_connections()]


def test_on_other_systems_there_are_no_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert tcp_connections() == []


def info(*, received: int, segments_out: int, segments_in: int, sent: int, resent: int = 0) -> bytes:
    """Return a ``struct tcp_info`` with these fields."""
    raw = bytearray(b"\xaa" * 248)
    struct.pack_into("=Q", raw, 128, received)
    struct.pack_into("=II", raw, 136, segments_out, segments_in)
    struct.pack_into("=QQ", raw, 200, sent, resent)
    return bytes(raw)


def test_headers_count_once_a_segment() -> None:
    raw = info(received=5_000, segments_out=3, segments_in=7, sent=2_000, resent=300)
    expected = TcpConnection(("10.0.0.2", 80), 2_000 + 3 * HEADERS, 5_000 + 7 * HEADERS, 300, 9, segments_received=7)
    assert tcp_info._read_info(("10.0.0.2", 80), raw, HEADERS, 9) == expected


def test_an_ipv4_host_behind_an_ipv6_socket_goes_by_its_ipv4_address() -> None:
    raw = info(received=0, segments_out=0, segments_in=0, sent=0)
    found = tcp_info._read_info(("::ffff:10.0.0.2", 80), raw, HEADERS)
    assert found == TcpConnection(("10.0.0.2", 80), 0, 0)


def test_a_kernel_without_byte_counters_gives_none() -> None:
    assert tcp_info._read_info(("10.0.0.2", 80), bytes(192), HEADERS) is None
