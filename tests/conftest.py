"""What all tests share: patience with a machine under load; ``--unit`` forbids processes and network sockets."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import settings

from tests.networks import Operator

os.environ.setdefault("OMP_NUM_THREADS", "1")
# For torch, here and in the processes that tests start: threads of several tests at once wait for each other
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

HERE = Path(__file__).parent
WITH_PROCESSES_OR_SOCKETS = (
    *("chaos/", "cluster/", "deploy/", "fuzz/", "transport/", "overlay/", "cli/"),
    *("serving/test_server.py", "serving/test_triton_client.py", "serving/test_page.py", "serving/test_pages.py"),
    *("telemetry/test_http_", "test_api.py", "test_architecture.py", "data/test_pages.py"),
    *("runtime/test_node.py", "runtime/test_systemd.py", "runtime/test_socket_watch.py", "test_name_lookup.py"),
    *("security/test_socket_directory.py", "security/test_tls_tunnels.py", "simulation/test_ray_shards.py"),
)
"""Below ``tests``: what a run with ``--unit`` leaves out."""
RUN_ALONE = (
    *("chaos/", "cluster/test_life.py", "cluster/test_recovery.py", "cluster/test_waiting.py"),
    *("cluster/test_wire_cost.py", "cluster/test_serving.py", "overlay/test_mdns.py", "cluster/test_discovery.py"),
)
"""Of these, what runs alone: bounds in seconds, bytes that a kernel counts, and nodes that find each other unasked.

Of the others several run at a time, daemons too: they wait for what happens, each on ports of its own.
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--unit", action="store_true", help="only tests that need no process and no network socket")
    parser.addoption("--integration", action="store_true", help="only tests that need a process or a network socket")
    parser.addoption("--short-processes", action="store_true", help="of these only those that may run at a time")
    parser.addoption("--alone", action="store_true", help="of these only those that may not")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--unit"):
        items[:] = [item for item in items if not needs_more(item)]
    elif config.getoption("--integration"):
        items[:] = [item for item in items if needs_more(item)]
    elif config.getoption("--short-processes"):
        items[:] = [item for item in items if needs_more(item) and is_short(item)]
    elif config.getoption("--alone"):
        items[:] = [item for item in items if needs_more(item) and not is_short(item)]


def needs_more(item: pytest.Item) -> bool:
    """Return whether a test needs a process or a network socket."""
    return _place(item).startswith(WITH_PROCESSES_OR_SOCKETS) or item.get_closest_marker("process") is not None


def is_short(item: pytest.Item) -> bool:
    """Return whether a test that needs a process may run beside others."""
    return not _place(item).startswith(RUN_ALONE)


def _place(item: pytest.Item) -> str:
    return item.path.relative_to(HERE).as_posix()


@pytest.fixture(autouse=True)
def _no_process_and_no_socket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.config.getoption("--unit"):

        def refuse(*_arguments: object, **_options: object) -> None:
            raise AssertionError("a unit test starts no process and opens no socket; see tests/conftest.py")

        monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
        for name in ("bind", "connect", "connect_ex"):
            monkeypatch.setattr(socket.socket, name, refuse)


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    """Give a test the operator of a network, with an authority of its own."""
    return Operator(tmp_path / "authority")
