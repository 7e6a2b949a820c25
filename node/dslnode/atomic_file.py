"""Files that are written whole or not at all, durably: those that dslnode keeps, and those that users ask for.

What dslnode keeps is for its owner only, and is written through no link. All writers share this module. What some file
systems cannot do is done without: there may be no flush of a directory (a power cut may then take back the newest
file), no hard links, no rename over a file that exists. Then a crash between two steps leaves the former content as
``NAME.before``, never half a file under the name itself.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, TextIO

PRIVATE = 0o600
READABLE = 0o666
"""The mode of what users ask for, before their umask."""
UNSUPPORTED = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.ENOTTY})
"""Errors by which a file system says that it has no such function."""
_NO_FLUSH = UNSUPPORTED - {errno.EPERM}
_NO_DIRECTORY_FLUSH = UNSUPPORTED | {errno.EBADF, errno.EACCES, errno.EISDIR}
_NO_HARD_LINK = UNSUPPORTED | {errno.EMLINK, errno.EACCES, errno.EXDEV}
_NO_RENAME_OVER = UNSUPPORTED | {errno.EEXIST, errno.EACCES}
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CAREFUL = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # O_NONBLOCK: opening a pipe must not wait for its other end


class BlockedFileError(OSError):
    """Something that is no regular file has the name of one: a symbolic link, a directory, a pipe."""


def open_file(file: Path, flags: int) -> int:
    """Return a descriptor of a regular file, made with mode 0600 if ``flags`` create it.

    Raises ``BlockedFileError`` if it is a symbolic link or no regular file, ``OSError`` if it cannot be opened.
    """
    try:
        descriptor = os.open(file, flags | _CAREFUL, PRIVATE)
    except OSError as error:
        _raise_if_blocked(file, error)
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        _raise_if_blocked(file, None)
    return descriptor


def read_file(file: Path, max_bytes: int) -> bytes:
    """Return a file's content, one byte too much of a larger one. Raises as ``open_file`` does."""
    with os.fdopen(open_file(file, os.O_RDONLY), "rb") as source:
        size = os.fstat(source.fileno()).st_size  # a read makes room for all that it is asked for
        return source.read(min(size, max_bytes) + 1)


def replace_file(file: Path, content: bytes, older: Path | None = None, mode: int = PRIVATE) -> None:
    """Write ``content`` as ``NAME.new``, flush it, let it take the file's name, and flush the directory.

    What had the name before takes that of ``older``, if given. A file that could not be written whole is removed: its
    bytes may be all that is missing on a full disk. Raises ``OSError``. One process at a time may write a name.
    """
    beside = file.with_name(file.name + ".new")
    _remove(beside)
    _write_new(beside, content, mode)
    if older is not None and is_regular(file):
        _rename(file, older)
    _rename(beside, file)
    flush_directory(file.parent)


def write_file(file: Path, content: bytes, mode: int, *, replace: bool) -> None:
    """Write a file that several processes may write at once: the last one wins. Raises ``OSError``.

    Unless ``replace``, raises ``FileExistsError`` if there is one, a link without a target among them.
    """
    beside = _beside(file)
    _write_new(beside, content, mode)
    try:
        if replace:
            _rename(beside, file)
        else:
            _take_free_name(beside, file)
    finally:
        beside.unlink(missing_ok=True)
    flush_directory(file.parent)


def write_outputs(contents: Mapping[Path, bytes]) -> None:
    """Write files that a user named: all of them whole, or all stay as they were on a disk that is full.

    A link is followed, a file keeps its mode, and what is no regular file, such as ``/dev/stdout``, is written to as it
    is. Raises ``OSError``.
    """
    staged: dict[Path, Path] = {}
    try:
        for file, content in contents.items():
            target = file.resolve()
            if target.exists() and not target.is_file():
                file.write_bytes(content)
                continue
            beside = _beside(target)
            _write_new(beside, content, _mode_of(target))
            staged[beside] = target
        for beside, target in staged.items():
            _rename(beside, target)
    finally:
        for beside in staged:
            beside.unlink(missing_ok=True)
    for directory in {target.parent for target in staged.values()}:
        flush_directory(directory)


@contextlib.contextmanager
def written_whole(file: Path) -> Iterator[BinaryIO]:
    """Yield a stream to write a large file to, which takes its name at the end. On an error the file stays as it was.

    Raises ``OSError``.
    """
    beside = _beside(file)
    try:
        with os.fdopen(os.open(beside, _NEW, _mode_of(file)), "wb") as target:
            yield target
            target.flush()
            _flush(target.fileno())
        _rename(beside, file)
    finally:
        beside.unlink(missing_ok=True)
    flush_directory(file.parent)


@contextlib.contextmanager
def text_written_whole(file: Path) -> Iterator[TextIO]:
    """Yield a stream of text in UTF-8, whose line ends stay as they are, as ``written_whole`` does one of bytes."""
    with written_whole(file) as target:
        text = io.TextIOWrapper(target, encoding="utf-8", newline="")
        yield text
        text.detach()


def flush_directory(directory: Path) -> bool:
    """Make names in a directory durable; return False where the file system cannot. Raises ``OSError``."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_FLUSH:
            raise
        return False
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_FLUSH:
            raise
        return False
    finally:
        os.close(descriptor)
    return True


def is_regular(file: Path) -> bool:
    """Return whether there is a regular file of this name; a symbolic link is none."""
    try:
        return stat.S_ISREG(os.lstat(file).st_mode)
    except FileNotFoundError:
        return False


def _beside(file: Path) -> Path:
    """Return a name in the same directory that no other process takes."""
    return file.with_name(f".{file.name}.{secrets.token_hex(4)}.new")


def _mode_of(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode) if file.exists() else READABLE


def _write_new(file: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(file, _NEW, mode)
    try:
        with os.fdopen(descriptor, "wb") as target:
            target.write(content)
            target.flush()
            _flush(target.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            file.unlink()
        raise


def _flush(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FLUSH:
            raise


def _rename(source: Path, target: Path) -> None:
    """Rename over an existing file; where the file system cannot, move that one away first."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno not in _NO_RENAME_OVER or not os.path.lexists(target):
            raise
        _rename_by_two(source, target)


def _rename_by_two(source: Path, target: Path) -> None:
    before = target.with_name(target.name + ".before")
    _remove(before)
    target.replace(before)
    try:
        source.replace(target)
    except OSError:
        before.replace(target)
        raise
    before.unlink()


def _take_free_name(source: Path, target: Path) -> None:
    """Give a file its name unless that is taken, which a rename would not notice."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_HARD_LINK:
            raise
        os.close(os.open(target, _NEW, PRIVATE))
        try:
            _rename(source, target)
        except OSError:
            target.unlink()
            raise


def _remove(file: Path) -> None:
    """Remove what a crash, or somebody else, left under a name; a symbolic link, not what it points to."""
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        _raise_if_blocked(file, error)
        raise


def _raise_if_blocked(file: Path, cause: OSError | None) -> None:
    try:
        mode = os.lstat(file).st_mode
    except OSError:
        return
    if stat.S_ISREG(mode):
        return
    kinds = {stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe"}
    what = kinds.get(stat.S_IFMT(mode), "no regular file")
    message = f"is {what} where dslnode keeps a file; find out who made it, and remove it"
    raise BlockedFileError(errno.ELOOP, message, str(file)) from cause
