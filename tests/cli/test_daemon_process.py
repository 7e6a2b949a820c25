"""Daemons as processes: their logs and their ports."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from dslnode.cli import daemon_process
from dslnode.cli.daemon_process import DaemonLog

OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


def log_of(*lines: str) -> DaemonLog:
    log = DaemonLog()
    for line in lines:
        log.add(line)
    return log


def test_a_log_holds_events_and_whatever_else_was_written() -> None:
    log = log_of(
        '{"event": "started", "level": "info"}\n', "Traceback\n", "[1]\n", '{"event": "odd", "level": "error"}\n'
    )
    assert [event["event"] for event in log.events] == ["started", "odd"]
    assert log.named("started") == [{"event": "started", "level": "info"}]
    assert log.other_lines == ["Traceback", "[1]"]
    assert log.complaints() == ["Traceback", "[1]", '{"event": "odd", "level": "error"}']
    assert log.tail().splitlines()[-1] == '{"event": "odd", "level": "error"}'


def test_an_event_to_come_is_waited_for_and_an_ended_log_is_not() -> None:
    log = log_of('{"event": "round", "round": 1}')
    threading.Timer(0.05, lambda: log.add('{"event": "round", "round": 2}')).start()
    began = time.monotonic()
    arrived, event = log.wait_for(lambda event: event["round"] == 2, timeout=60)
    assert event["round"] == 2
    assert began < arrived < began + 30
    with pytest.raises(TimeoutError, match='"round": 2'):
        log.wait_for(lambda event: event["round"] == 3, timeout=0.01)
    threading.Timer(0.05, log.end).start()
    with pytest.raises(TimeoutError):
        log.wait_for(lambda event: event["round"] == 3, timeout=60)
    assert time.monotonic() - began < 30


def test_ports_are_free_and_all_different() -> None:
    ports = daemon_process.free_ports(200)
    assert len(set(ports)) == 200
    for port in ports:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))


@pytest.mark.skipif(not OUTGOING.exists(), reason="this system does not say which ports it lends")
def test_no_outgoing_connection_is_lent_a_port_of_a_node() -> None:
    first, last = map(int, OUTGOING.read_text(encoding="ascii").split())
    if first < daemon_process.LISTENING_PORTS.stop:
        pytest.skip(f"this system lends ports from {first} on")
    assert not [port for port in daemon_process.free_ports(200) if first <= port <= last]


def test_taken_ports_are_passed_over_and_too_few_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    taken, free = daemon_process.free_ports(2)
    with socket.create_server(("127.0.0.1", taken)):
        monkeypatch.setattr(daemon_process, "LISTENING_PORTS", [taken, free])
        assert daemon_process.free_ports(1) == [free]
        with pytest.raises(OSError, match=f"no port from {taken} to {free} is free"):
            daemon_process.free_ports(2)
