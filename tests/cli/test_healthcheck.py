"""What the health check of a container says of a node: ready, not yet, not any more; with metrics and without."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry

from dslnode.cli import healthcheck
from dslnode.cli.daemon_process import clean_environment
from dslnode.errors import ExitCode
from dslnode.telemetry import http_server
from dslnode.telemetry.http_application import application
from dslnode.v1 import node_pb2 as pb
from tests.cluster.processes import NodeProcess, free_port


def checked(metrics: str | None) -> tuple[int, str]:
    """Run the check as the container engine does; return the exit code and what it said."""
    given = {} if metrics is None else {"DSLNODE_METRICS": metrics}
    command = [sys.executable, "-m", "dslnode.cli.healthcheck"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=clean_environment() | given
    )
    return done.returncode, done.stdout + done.stderr


def late() -> str:
    raise TimeoutError


@contextmanager
def served(answer: Callable[[], str], host: str = "127.0.0.1") -> Iterator[str]:
    address = f"{host}:{free_port()}"
    stop = http_server.serve(address, application(CollectorRegistry(), pb.StatusReply, answer))
    try:
        yield address
    finally:
        stop()


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (lambda: "", "HTTP/1.0 200 OK"),
        (lambda: "its address is not open", "HTTP/1.0 503 Service Unavailable"),
        (late, "HTTP/1.0 503 Service Unavailable"),
    ],
    ids=["open", "closed", "hanging"],
)
def test_only_an_open_address_and_a_turning_loop_are_ready(answer: Callable[[], str], line: str) -> None:
    with served(answer) as address:
        assert healthcheck.ask(address) == line
        assert checked(address) == (int(" 200 " not in line), f"{line}\n")


async def test_the_event_loop_itself_must_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked from beside the loop it answers; asked in the loop's own place, which stops it, it does not."""
    address = f"127.0.0.1:{free_port()}"
    stop = await http_server.serve_http(address, CollectorRegistry(), pb.StatusReply, str)
    try:
        assert " 200 " in await asyncio.to_thread(healthcheck.ask, address)
        monkeypatch.setattr(http_server, "ANSWER_TIMEOUT_SECONDS", 0.2)
        assert " 503 " in healthcheck.ask(address)
    finally:
        stop()


@pytest.mark.parametrize(("host", "asked"), [("0.0.0.0", "0.0.0.0"), ("[::1]", "[::1]"), ("[::]", "[::]")])
def test_it_asks_wherever_the_metrics_are_served(host: str, asked: str) -> None:
    with served(str, host) as address:
        assert " 200 " in healthcheck.ask(address.replace(host, asked))


def test_a_node_that_takes_the_connection_and_never_answers_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a process that is stopped: its kernel still accepts."""
    monkeypatch.setattr(healthcheck, "TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("DSLNODE_METRICS", f"127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(SystemExit) as ended:
            healthcheck.main()
    assert ended.value.code == 1


def test_a_daemon_is_ready_once_it_listens_and_not_when_it_has_gone() -> None:
    metrics = f"127.0.0.1:{free_port()}"
    with NodeProcess("board-1", free_port(), "--metrics", metrics) as node:
        node.wait_for_event("started")
        assert checked(metrics) == (0, "HTTP/1.0 200 OK\n")
    assert checked(metrics)[0] == ExitCode.UNREACHABLE


def test_where_no_metrics_are_served_the_node_itself_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``dslnode status`` asks, whether the metrics are off or elsewhere than the environment says."""
    begun = []

    def begin(program: str, command: list[str]) -> None:
        begun.append((program, command))
        raise SystemExit(0)

    monkeypatch.setattr(os, "execv", begin)
    for metrics in ("off", f"127.0.0.1:{free_port()}"):
        monkeypatch.setenv("DSLNODE_METRICS", metrics)
        with pytest.raises(SystemExit):
            healthcheck.main()
    command = [sys.executable, "-m", "dslnode", "status", "--timeout", "20"]
    assert begun == [(sys.executable, command)] * 2


def test_it_imports_next_to_nothing() -> None:
    """It runs every half minute, on boards with a seventh of a processor."""
    look = "import sys, dslnode.cli.healthcheck; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "socket" in loaded
    assert loaded.isdisjoint({"asyncio", "grpc", "pydantic", "ssl", "torch", "typer", "typing_extensions", "urllib"})
