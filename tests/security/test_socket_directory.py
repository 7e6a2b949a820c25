"""The directory of Unix sockets: where it is made, who else may enter, what is left of processes that were killed."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dslnode.security.socket_directory import (
    MAX_PATH_BYTES,
    SocketDirectory,
    grpc_target,
    make_socket_directory,
    parent_directories,
    remove_stale_directories,
)

HOLD = """
import sys, time
from pathlib import Path
from dslnode.security.socket_directory import make_socket_directory
print(make_socket_directory([Path(sys.argv[1])]).path, flush=True)
time.sleep(60)
"""


def killed(parent: Path) -> Path:
    """Return the directory of a process that was killed, with the socket on which it listened."""
    with subprocess.Popen([sys.executable, "-c", HOLD, parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        path = Path(process.stdout.readline().strip())
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path / "1"))
        assert remove_stale_directories([parent]) == [], "its process lives"
        process.send_signal(signal.SIGKILL)
    return path


@pytest.fixture
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short path, unlike those of pytest for tests with long names."""
    return tmp_path_factory.mktemp("p")


def long_directory(parent: Path) -> Path:
    path = parent / ("a" * 100)
    path.mkdir()
    return path


def test_it_is_private_and_sockets_work_there(parent: Path) -> None:
    directory = make_socket_directory([parent])
    assert directory.path.parent == parent
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory.path / "1"))
    directory.close()
    assert list(parent.iterdir()) == []


def test_a_directory_whose_paths_are_too_long_is_passed_over(parent: Path) -> None:
    directory = make_socket_directory([long_directory(parent), parent / "missing", parent])
    assert directory.path.parent == parent
    directory.close()


@pytest.mark.parametrize("spare", [0, 1])
def test_the_longest_path_that_fits_is_used(parent: Path, spare: int) -> None:
    rest = len("/dslnode-12345678/1234567890") + len(os.fsencode(parent)) + 1
    exact = parent / ("a" * (MAX_PATH_BYTES - rest + 1 - spare))
    exact.mkdir()
    if spare:
        make_socket_directory([exact]).close()
    else:
        with pytest.raises(OSError, match="1 bytes too long"):
            make_socket_directory([exact])


def test_where_none_works_one_line_names_the_setting_and_no_port(parent: Path) -> None:
    with pytest.raises(OSError, match=r"no directory for Unix sockets can be made; set TMPDIR to .* short path") as no:
        make_socket_directory([long_directory(parent), parent / "missing"])
    assert "\n" not in str(no.value)
    assert "port" not in str(no.value)
    assert re.search(r"bytes too long; .*No such file or directory", str(no.value))


@pytest.mark.parametrize("name", ["a,b", "a\nb"])
def test_what_grpc_cannot_read_is_passed_over(parent: Path, name: str) -> None:
    (parent / name).mkdir()
    directory = make_socket_directory([parent / name, parent])
    assert directory.path.parent == parent
    directory.close()


def test_characters_of_uris_are_encoded_for_grpc() -> None:
    assert grpc_target(Path("/tmp/50% #1?/1")) == "unix:/tmp/50%25%20%231%3F/1"


def test_the_order_is_the_services_the_users_the_temporary_ones_and_the_state(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(parent / "temporary"))
    environment = {"RUNTIME_DIRECTORY": "/run/dslnode:/run/other", "XDG_RUNTIME_DIR": str(parent)}
    assert parent_directories(parent / "state", environment) == [
        Path("/run/dslnode"),
        Path("/run/other"),
        parent,
        parent / "temporary",
        Path("/tmp"),
        parent / "state",
    ]
    relative = {"RUNTIME_DIRECTORY": "run", "XDG_RUNTIME_DIR": str(parent / "missing")}
    assert parent_directories(None, relative) == [parent / "temporary", Path("/tmp")]


def test_what_a_killed_process_left_is_removed(parent: Path) -> None:
    path = killed(parent)
    assert path.exists()
    assert remove_stale_directories([parent, parent / "missing"]) == [path]
    assert list(parent.iterdir()) == []


def test_a_directory_in_use_stays(parent: Path) -> None:
    directory = make_socket_directory([parent])
    assert remove_stale_directories([parent]) == []
    assert directory.is_intact()
    directory.close()


def test_a_directory_without_lock_in_which_somebody_listens_stays(parent: Path) -> None:
    older = parent / "dslnode-abcd1234"
    older.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(older / "1"))
        listener.listen()
        assert remove_stale_directories([parent]) == []
    assert remove_stale_directories([parent]) == [older]


def test_what_is_not_surely_of_a_node_stays(parent: Path) -> None:
    target = parent / "target"
    (target / "inner").mkdir(parents=True)
    (parent / "dslnode-abcd1234").symlink_to(target)
    for name in ("dslnode-data", "dslnode-abcd1235", "dslnode-abcd1236"):
        (parent / name).mkdir()
    (parent / "dslnode-abcd1235" / "1").write_text("mine")
    with socket.socket(socket.AF_UNIX) as unusual:
        unusual.bind(str(parent / "dslnode-abcd1236" / "name"))
    (parent / "dslnode-abcd1237").write_text("mine")
    before = sorted(parent.rglob("*"))
    assert remove_stale_directories([parent]) == []
    assert sorted(parent.rglob("*")) == before


def test_directories_of_other_users_stay(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (parent / "dslnode-abcd1234").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert remove_stale_directories([parent]) == []


def test_a_directory_that_another_took_for_stale_is_made_again(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between making and locking, a starting node may remove it."""
    real, taken = tempfile.mkdtemp, list[str]()

    def mkdtemp(**where: Path) -> str:
        path = real(**where)  # type: ignore[call-overload]
        if not taken:
            assert remove_stale_directories([parent]) == [Path(path)]
        taken.append(path)
        return str(path)

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    directory = make_socket_directory([parent])
    assert [str(directory.path)] == taken[1:]
    directory.close()


def test_a_directory_that_was_replaced_is_neither_intact_nor_removed(parent: Path) -> None:
    directory = make_socket_directory([parent])
    directory.path.rmdir()
    assert not directory.is_intact()
    directory.path.mkdir()
    assert not SocketDirectory(directory.path, os.dup(directory.descriptor)).is_intact()
    directory.close()
    assert directory.path.is_dir()
