"""Files with secrets: their permissions, and what happens to an existing file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dslnode.errors import SettingsError
from dslnode.security.secret_files import MAX_BYTES, read_private, read_text, write_private, write_public


def mode_of(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


@pytest.fixture(autouse=True)
def _generous_umask() -> object:
    former = os.umask(0)
    yield
    os.umask(former)


def test_a_secret_is_readable_by_its_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    write_private(tmp_path / "key", "secret", replace=False)
    write_public(tmp_path / "list", "known", replace=False)
    assert (mode_of(tmp_path / "key"), mode_of(tmp_path / "list")) == (0o600, 0o644)
    assert read_private(tmp_path / "key") == "secret"
    assert sorted(os.listdir(tmp_path)) == ["key", "list"], "nothing is left beside them"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_secret_that_others_can_reach_is_not_read_and_the_remedy_is_named(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "key"
    write_private(file, "secret", replace=False)
    file.chmod(mode)
    with pytest.raises(SettingsError, match=rf"{mode:04o}.*chmod 600 {file}"):
        read_private(file)


def test_a_file_is_overwritten_only_when_asked(tmp_path: Path) -> None:
    file = tmp_path / "key"
    write_private(file, "first", replace=False)
    with pytest.raises(SettingsError, match="not written over"):
        write_private(file, "second", replace=False)
    assert read_private(file) == "first"
    write_private(file, "second", replace=True)
    assert read_private(file) == "second"


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"{tmp_path}/absent: cannot be read"):
        read_text(tmp_path / "absent")
    with pytest.raises(SettingsError, match="absent/key: cannot be written"):
        write_private(tmp_path / "absent" / "key", "x", replace=False)


def test_a_file_that_is_surely_another_is_not_read_whole(tmp_path: Path) -> None:
    (tmp_path / "huge").write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(SettingsError, match="larger than 1 MiB"):
        read_text(tmp_path / "huge")


@pytest.mark.parametrize(("content", "reason"), [(b"\xff\xfe", "UTF-16"), (b"\x30\x82\x80", "not UTF-8")])
def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "binary").write_bytes(content)
    with pytest.raises(SettingsError, match=f"binary: .*{reason}"):
        read_text(tmp_path / "binary")
