"""The state directory: private, held by one node, and usable on file systems that can do less."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from dslnode.errors import StateError
from dslnode.runtime.checkpoint import StateDirectory
from dslnode.runtime.directory_owner import NO_FLUSH, NO_LOCK, NO_MODES, blocked_names, exposure, owned
from dslnode.runtime.prepare import log_directory


@pytest.fixture(autouse=True)
def _generous_umask() -> object:
    former = os.umask(0)
    yield
    os.umask(former)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def fails_with(code: int) -> object:
    def call(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return call


def test_a_directory_that_is_made_and_its_files_are_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "own"
    with owned(path) as limits:
        assert limits == ()
    assert (mode_of(path), mode_of(path / "lock")) == (0o700, 0o600)
    assert not exposure(path)


def test_files_of_an_earlier_release_are_closed_to_others_and_no_others_are(tmp_path: Path) -> None:
    for name in ("lock", "node-id", "state", "state.old", "ledger", "of-somebody"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o644)
    with owned(tmp_path):
        pass
    modes = {path.name: mode_of(path) for path in tmp_path.iterdir()}
    assert modes.pop("of-somebody") == 0o644
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize(("mode", "deed"), [(0o755, "read"), (0o750, "read"), (0o777, "write"), (0o730, "write")])
def test_an_existing_directory_that_is_open_stays_as_it_is_and_is_warned_of(
    tmp_path: Path, mode: int, deed: str
) -> None:
    tmp_path.chmod(mode)
    state = StateDirectory(tmp_path)
    with capture_logs() as log, state.owned():
        log_directory(state, structlog.get_logger())
    [line] = log
    assert line["event"] == "state directory open to others"
    assert line["why"] == f"{tmp_path}: other users of this board can {deed} it (mode {mode:04o})"
    assert mode_of(tmp_path) == mode


@pytest.mark.parametrize("mode", [0o700, 0o711])
def test_a_directory_that_others_can_pass_at_most_is_not_warned_of(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    assert not exposure(tmp_path)


@pytest.mark.parametrize("code", [errno.ENOTSUP, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.ENOLCK])
def test_a_file_system_without_locks_serves_and_what_is_lost_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(fcntl, "flock", fails_with(code))
    state = StateDirectory(tmp_path)
    with capture_logs() as log, state.owned():
        log_directory(state, structlog.get_logger())
    assert [(line["event"], line["why"]) for line in log] == [
        ("state directory on a simple file system", f"{tmp_path}: {NO_LOCK}")
    ]


def test_a_lock_that_windows_shares_refuse_is_another_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", fails_with(errno.EACCES))
    with pytest.raises(StateError, match="another dslnode is using"), owned(tmp_path):
        pass


@pytest.mark.parametrize("code", [errno.ENOTSUP, errno.EINVAL, errno.ENOSYS, errno.EPERM])
def test_a_file_system_without_permissions_and_flushes_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    (tmp_path / "lock").touch(0o666)
    monkeypatch.setattr(os, "fchmod", fails_with(code))
    monkeypatch.setattr(os, "fsync", fails_with(code))
    with owned(tmp_path) as limits:
        assert limits == (NO_MODES, NO_FLUSH)


def test_names_that_are_taken_are_found_before_a_start(tmp_path: Path) -> None:
    (tmp_path / "ledger").symlink_to("elsewhere")
    (tmp_path / "state").touch()
    [found] = blocked_names(tmp_path)
    assert found.startswith(f"{tmp_path}/ledger: is a symbolic link")
    assert not blocked_names(tmp_path / "missing")
