"""The lock of a testbed's directory: a second one is refused before it touches anything, and told who has it."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from dslnode.cli.testbed_lock import held
from dslnode.errors import ExitCode, SettingsError, StateError


def test_a_second_testbed_in_a_directory_is_refused_with_the_process_of_the_first(tmp_path: Path) -> None:
    bed = tmp_path / "bed"
    with held(bed):
        with pytest.raises(StateError, match=rf"bed: another testbed \(process {os.getpid()}\) is using it") as caught:
            held(bed).__enter__()
        assert caught.value.exit_code == ExitCode.STATE
        assert [path.name for path in bed.iterdir()] == ["lock"]
    with held(bed):
        assert (bed / "lock").read_text() == f"{os.getpid()}\n"


def test_one_that_has_not_said_its_process_yet_is_refused_as_well(tmp_path: Path) -> None:
    with held(tmp_path):
        (tmp_path / "lock").write_text("")
        with pytest.raises(StateError, match="another testbed is using it"):
            held(tmp_path).__enter__()


def test_a_longer_id_of_a_former_process_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("1234567890123\n")
    with held(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_file_system_without_locks_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with held(tmp_path):
        pass


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="file/bed: cannot be used"):
        held(tmp_path / "file" / "bed").__enter__()
    (tmp_path / "lock").mkdir()
    with pytest.raises(SettingsError, match="cannot be used"):
        held(tmp_path).__enter__()
