"""Files written whole, privately and through no link, on file systems that can do less, too."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dslnode.atomic_file import (
    BlockedFileError,
    flush_directory,
    read_file,
    replace_file,
    text_written_whole,
    write_file,
    write_outputs,
)
from tests.full_disk import full_after

UNSUPPORTED = [errno.ENOTSUP, errno.EINVAL, errno.ENOSYS, errno.EPERM]


def failing(real: Callable[..., Any], code: int, when: Callable[..., bool]) -> Callable[..., Any]:
    """Return a system call that fails with ``code`` for the arguments that ``when`` is true of."""

    def call(*given: Any, **named: Any) -> Any:
        if when(*given):
            raise OSError(code, os.strerror(code), *(str(path) for path in given[:1] if isinstance(path, Path)))
        return real(*given, **named)

    return call


def is_directory(descriptor: int) -> bool:
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


@pytest.fixture(autouse=True)
def _generous_umask() -> object:
    former = os.umask(0)
    yield
    os.umask(former)


def test_a_file_is_its_owners_whatever_the_umask_and_the_mode_of_the_file_before(tmp_path: Path) -> None:
    file = tmp_path / "state"
    file.write_bytes(b"before")
    file.chmod(0o666)
    replace_file(file, b"now", older=tmp_path / "state.old")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.read_bytes() for path in (file, tmp_path / "state.old")] == [b"now", b"before"]


@pytest.mark.parametrize("name", ["state", "state.new", "state.old"])
def test_no_link_is_written_through_or_kept(tmp_path: Path, name: str) -> None:
    victim, own = tmp_path / "victim", tmp_path / "own"
    victim.write_bytes(b"theirs")
    own.mkdir()
    (own / name).symlink_to(victim)
    for content in (b"1", b"2"):
        replace_file(own / "state", content, older=own / "state.old")
    assert victim.read_bytes() == b"theirs"
    assert {path.name: path.is_symlink() for path in own.iterdir()} == {"state": False, "state.old": False}
    assert read_file(own / "state", 9) == b"2"


def test_what_blocks_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.new").mkdir()
    with pytest.raises(BlockedFileError, match="is a directory where dslnode keeps a file"):
        replace_file(tmp_path / "state", b"x")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BlockedFileError, match="is a pipe"):
        read_file(tmp_path / "pipe", 9)


def test_a_hard_link_planted_for_the_new_file_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"theirs")
    os.link(tmp_path / "victim", tmp_path / "state.new")
    replace_file(tmp_path / "state", b"ours")
    assert (tmp_path / "victim").read_bytes() == b"theirs"


@pytest.mark.parametrize("code", UNSUPPORTED)
def test_a_file_system_that_flushes_no_directory_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(os, "fsync", failing(os.fsync, code, is_directory))
    replace_file(tmp_path / "state", b"x")
    assert read_file(tmp_path / "state", 9) == b"x"
    assert not flush_directory(tmp_path)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_flush_that_fails_is_never_taken_for_one_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, what: str
) -> None:
    monkeypatch.setattr(os, "fsync", failing(os.fsync, code, lambda fd: is_directory(fd) == (what == "directory")))
    with pytest.raises(OSError, match=os.strerror(code)):
        replace_file(tmp_path / "state", b"x")


@pytest.mark.parametrize("code", [*UNSUPPORTED, errno.EEXIST])
def test_a_file_system_that_renames_over_no_file_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(Path, "replace", failing(Path.replace, code, lambda _, target: os.path.lexists(target)))
    for content in (b"1", b"2", b"3"):
        replace_file(tmp_path / "state", content, older=tmp_path / "state.old")
        write_file(tmp_path / "ticket", content, 0o600, replace=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "state": b"3",
        "state.old": b"2",
        "ticket": b"3",
    }


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP, errno.EIO])
@pytest.mark.parametrize("working", [0, 1])
def test_a_file_system_whose_renames_fail_costs_no_file_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, working: int
) -> None:
    """All of them, or all but the one that moves the former file away."""
    for name in ("state", "ticket"):
        (tmp_path / name).write_bytes(b"former")

    def works(path: Path, target: Path) -> bool:
        return ".before" in (path.suffix, target.suffix) and bool(working)

    monkeypatch.setattr(Path, "replace", failing(Path.replace, code, lambda path, target: not works(path, target)))
    monkeypatch.setattr(os, "link", failing(os.link, errno.EPERM, lambda *_: True))
    with pytest.raises(OSError, match=os.strerror(code)):
        replace_file(tmp_path / "state", b"new")
    with pytest.raises(OSError, match=os.strerror(code)):
        write_file(tmp_path / "ticket", b"new", 0o600, replace=True)
    with pytest.raises(OSError, match=os.strerror(code)):
        write_file(tmp_path / "key", b"new", 0o600, replace=False)
    content = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "state.new"}
    assert content == {"state": b"former", "ticket": b"former"}


@pytest.mark.parametrize("code", UNSUPPORTED)
def test_a_file_system_without_hard_links_serves_and_still_writes_over_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(os, "link", failing(os.link, code, lambda *_: True))
    write_file(tmp_path / "key", b"first", 0o600, replace=False)
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "key", b"second", 0o600, replace=False)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"key": b"first"}


def test_a_link_without_a_target_is_a_name_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "key", b"x", 0o600, replace=False)
    assert not (tmp_path / "victim").exists()


def test_files_that_belong_together_are_written_all_or_none(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    large.write_bytes(b"before")
    with full_after(100), pytest.raises(OSError, match="File too large"):
        write_outputs({small: b"1", large: bytes(200)})
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"large": b"before"}
    write_outputs({small: b"1", large: bytes(200)})
    assert {file.name: len(file.read_bytes()) for file in tmp_path.iterdir()} == {"small": 1, "large": 200}


def test_a_stream_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "rounds.csv"
    file.write_bytes(b"before")
    with full_after(100), pytest.raises(OSError, match="File too large"), text_written_whole(file) as target:
        target.write("row\n" * 100_000)
    assert [each.name for each in tmp_path.iterdir()] == ["rounds.csv"]
    assert file.read_bytes() == b"before"
    with text_written_whole(file) as target:
        target.write("row\r\n")
    assert file.read_bytes() == b"row\r\n"


def test_what_a_user_names_may_be_a_link_a_device_or_a_file_with_a_mode(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"before")
    file.chmod(0o640)
    link.symlink_to(file)
    write_outputs({link: b"now", Path(os.devnull): b"nothing"})
    assert link.is_symlink()
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"now", 0o640)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    with pytest.raises(IsADirectoryError):
        write_outputs({tmp_path: b"now"})
