"""What systemd is told, read from a real datagram socket as systemd would."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dslnode.runtime.systemd import STATUS_SECONDS, ServiceManager, keep_told, named_in
from tests.cluster.processes import NodeProcess, free_port

DEADLINE = 60.0


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(DEADLINE)
        yield listening


def facts(listening: socket.socket) -> dict[str, str]:
    lines = listening.recv(4096).decode().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_ready_is_told_first_then_signs_of_life_then_the_end(manager: socket.socket) -> None:
    environment = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "20000"}
    lines = iter(f"round {number}" for number in range(1_000))

    async def live() -> None:
        telling = asyncio.create_task(keep_told(lambda: next(lines), environment))
        heard = [await asyncio.to_thread(facts, manager) for _ in range(3)]
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        assert heard == [
            {"READY": "1", "STATUS": "round 0"},
            {"WATCHDOG": "1", "STATUS": "round 1"},
            {"WATCHDOG": "1", "STATUS": "round 2"},
        ]

    asyncio.run(live())
    while "STOPPING" not in (last := facts(manager)):
        assert last["WATCHDOG"] == "1"
    assert last == {"STOPPING": "1"}


async def test_without_a_service_manager_nothing_is_told() -> None:
    await keep_told(lambda: pytest.fail("nobody asked"), {})


def test_an_abstract_socket_is_told_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        name = f"dslnode-test-{os.getpid()}"
        listening.bind(f"\0{name}")
        listening.settimeout(DEADLINE)
        told = named_in({"NOTIFY_SOCKET": f"@{name}"}, 1)
        assert told is not None
        told.tell("READY=1")
        assert facts(listening) == {"READY": "1"}


@pytest.mark.parametrize("address", ["", "relative/path", "vsock:2:1234"])
def test_an_address_of_another_kind_is_no_service_manager(address: str) -> None:
    assert named_in({"NOTIFY_SOCKET": address}, 1) is None


@pytest.mark.parametrize(
    ("environment", "watchdog"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_obeyed_if_it_is_meant_for_this_process(
    environment: dict[str, str], watchdog: float | None
) -> None:
    assert named_in({"NOTIFY_SOCKET": "/run/notify", **environment}, 7) == ServiceManager("/run/notify", watchdog)


@pytest.mark.parametrize(("watchdog", "interval"), [(None, STATUS_SECONDS), (3.0, 1.5), (600.0, STATUS_SECONDS)])
def test_signs_of_life_come_twice_as_often_as_is_asked(watchdog: float | None, interval: float) -> None:
    assert ServiceManager("/run/notify", watchdog).interval == interval


def test_a_service_manager_that_is_gone_or_does_not_read_stops_nobody(tmp_path: Path, manager: socket.socket) -> None:
    ServiceManager(str(tmp_path / "nobody")).tell("READY=1")
    told = ServiceManager(manager.getsockname())
    for _ in range(2_000):  # more than any queue takes; a blocking send would hang here
        told.tell("WATCHDOG=1")
    assert facts(manager) == {"WATCHDOG": "1"}


def test_a_daemon_is_ready_once_it_listens_and_says_when_it_stops(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    port = free_port()
    with NodeProcess("board", port) as node:
        assert facts(manager)["READY"] == "1"
        socket.create_connection(("127.0.0.1", port), DEADLINE).close()
        assert facts(manager)["WATCHDOG"] == "1"
        code, _ = node.end(signal.SIGTERM)
        assert code == 143
        while "STOPPING" not in (last := facts(manager)):
            assert last["STATUS"].startswith("round ")
