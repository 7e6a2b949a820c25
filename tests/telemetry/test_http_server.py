"""The server of metrics and status: bounded in clients and time, and alive without descriptors."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Gauge

from dslnode.errors import ListenError
from dslnode.telemetry import http_server
from dslnode.telemetry.http_application import application
from dslnode.telemetry.http_server import MAX_CONNECTIONS, serve, serve_http
from dslnode.v1 import node_pb2 as pb
from tests import descriptors
from tests.browser import get
from tests.cluster.processes import NodeProcess, free_port

REPLY = pb.StatusReply(name="board-1")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_metrics_are_served_until_stopped(host: str) -> None:
    registry = CollectorRegistry()
    Gauge("dslnode_round", "The round.", registry=registry).set(7)
    address = f"{host}:{free_port()}"
    stop = serve(address, application(registry, lambda: REPLY, str))
    try:
        text, headers = get(address, "/metrics")
        assert headers["Content-Type"].startswith("text/plain")
        assert "dslnode_round 7.0" in text
    finally:
        stop()
    with pytest.raises(urllib.error.URLError, match="refused"):
        get(address, "/metrics")


@pytest.mark.parametrize("zone", ["lo", str(socket.if_nametoindex("lo"))])
def test_an_address_with_a_zone_is_served_without_any_lookup(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getfqdn", lambda _: pytest.fail("a name server is asked"))
    port = free_port()
    stop = serve(f"[::1%{zone}]:{port}", application(CollectorRegistry(), lambda: REPLY, str))
    try:
        assert get(f"[::1]:{port}", "/ready")[0] == "ready\n"
    finally:
        stop()
    with pytest.raises(
        ListenError, match=r"no network interface 'absent0', the zone of fe80::1%absent0.*--metrics off"
    ):
        serve("[fe80::1%absent0]:1", application(CollectorRegistry(), lambda: REPLY, str))


def test_an_address_that_cannot_be_served_on_is_explained() -> None:
    app = application(CollectorRegistry(), lambda: REPLY, str)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = f"127.0.0.1:{holder.getsockname()[1]}"
        with pytest.raises(ListenError, match=f"cannot serve metrics on {taken} .Address already in use.; .*--metrics"):
            serve(taken, app)
    with pytest.raises(ListenError, match="Cannot assign requested address"):
        serve("192.0.2.1:0", app)


async def test_off_serves_nothing() -> None:
    (await serve_http("off", CollectorRegistry(), lambda: REPLY, str))()


class Closed:
    """Counts connections that were closed early, and wakes who waits for it."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self._changed = threading.Condition()

    def __call__(self, reason: str) -> None:
        with self._changed:
            self.reasons[reason] += 1
            self._changed.notify_all()

    def wait_for(self, reason: str, count: int = 1) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.reasons[reason] >= count, timeout=10), self.reasons


@pytest.fixture
def closed() -> Closed:
    return Closed()


@pytest.fixture
def address(closed: Closed) -> Iterator[str]:
    where = f"127.0.0.1:{free_port()}"
    stop = serve(where, application(CollectorRegistry(), lambda: REPLY, str), closed)
    yield where
    stop()


def connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def test_a_request_gets_through_while_silent_clients_fill_the_server(address: str, closed: Closed) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(address)) for _ in range(MAX_CONNECTIONS + 3)]
        closed.wait_for("full", 3)
        assert clients[0].recv(1) == b"", "the oldest is closed first"
        assert "board-1" in get(address, "/status.json")[0]


def test_a_client_that_sends_byte_after_byte_ends_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch, address: str, closed: Closed
) -> None:
    monkeypatch.setattr(http_server, "CONNECTION_SECONDS", 0.3)
    begun = time.monotonic()
    with connect(address) as client, contextlib.suppress(OSError):
        client.settimeout(0.05)
        while time.monotonic() < begun + 10:
            client.sendall(b"G")
            with contextlib.suppress(TimeoutError):
                if client.recv(1) == b"":
                    break
    closed.wait_for("deadline")
    assert time.monotonic() - begun < 5


def test_a_stop_waits_for_no_client() -> None:
    address = f"127.0.0.1:{free_port()}"
    stop = serve(address, application(CollectorRegistry(), lambda: REPLY, str))
    with connect(address) as client:
        begun = time.monotonic()
        stop()
        assert time.monotonic() - begun < 2
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""


def test_without_descriptors_connections_are_closed_and_counted(address: str, closed: Closed) -> None:
    host, _, port = address.rpartition(":")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.socket()) for _ in range(3)]
        stack.enter_context(descriptors.none_left())
        for client in clients:
            client.connect((host, int(port)))
            client.settimeout(10)
            assert client.recv(1) == b""
    assert closed.reasons["descriptors"] >= 3
    assert "board-1" in get(address, "/status.json")[0]


def test_a_node_without_a_descriptor_left_goes_on() -> None:
    metrics = f"127.0.0.1:{free_port()}"
    options = ("--metrics", metrics, "--local-steps", "1", "--evaluate-every", "1")
    with NodeProcess("board-7", free_port(), *options) as node, contextlib.ExitStack() as stack:
        node.wait_for_round(2)
        in_use = len(os.listdir(f"/proc/{node.process.pid}/fd"))
        resource.prlimit(node.process.pid, resource.RLIMIT_NOFILE, (in_use, in_use))
        for _ in range(40):
            stack.enter_context(connect(metrics))
        node.wait_for_round(int(node.rounds()[-1]["round"]) + 20)
