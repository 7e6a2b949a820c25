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
    *("security/test_socket_directory.py", "security/test_tls_tunnels.py"),
)
"""Below ``tests``: what a run with ``--unit`` leaves out."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--unit", action="store_true", help="only tests that need no process and no network socket")
    parser.addoption("--integration", action="store_true", help="only tests that need a process or a network socket")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--unit"):
        items[:] = [item for item in items if not needs_more(item)]
    elif config.getoption("--integration"):
        items[:] = [item for item in items if needs_more(item)]


def needs_more(item: pytest.Item) -> bool:
    """Return whether a test needs a process or a network socket."""
    place = item.path.relative_to(HERE).as_posix()
    return place.startswith(WITH_PROCESSES_OR_SOCKETS) or item.get_closest_marker("process") is not None


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
