"""The ports of a testbed's daemons."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from dslnode.cli import testbed

OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_ports_are_free_and_all_different() -> None:
    ports = testbed.free_ports(200)
    assert len(set(ports)) == 200
    for port in ports:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))


@pytest.mark.skipif(not OUTGOING.exists(), reason="this system does not say which ports it lends")
def test_no_outgoing_connection_is_lent_a_port_of_a_node() -> None:
    first, last = map(int, OUTGOING.read_text(encoding="ascii").split())
    if first < testbed.LISTENING_PORTS.stop:
        pytest.skip(f"this system lends ports from {first} on")
    assert not [port for port in testbed.free_ports(200) if first <= port <= last]


def test_taken_ports_are_passed_over_and_too_few_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, free = testbed.free_ports(2)
    with socket.create_server(("127.0.0.1", taken)):
        monkeypatch.setattr(testbed, "LISTENING_PORTS", [taken, free])
        assert testbed.free_ports(1) == [free]
        with pytest.raises(OSError, match=f"no port from {taken} to {free} is free"):
            testbed.free_ports(2)
