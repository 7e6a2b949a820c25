"""Holds a state directory for one node, closes its files to others, and finds out what its file system cannot do."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from dslnode.atomic_file import PRIVATE, BlockedFileError, flush_directory, open_file
from dslnode.errors import StateError
from dslnode.runtime.file_lock import lock_file

DIRECTORY_MODE = 0o700
FILES = (
    *("lock", "node-id", "state", "state.old", "state.damaged"),
    *("ledger", "ledger.copy", "ledger.damaged"),
)
"""All that a node keeps in its state directory."""
_OTHERS_READ_OR_WRITE = 0o066
NO_LOCK = "it cannot lock files: two nodes that are given this directory are not told apart, and spoil its files"
NO_FLUSH = "it cannot flush a directory: a power cut may take the node back by a state"
NO_MODES = "it does not keep permissions: other users of this board can reach the files"


@contextlib.contextmanager
def owned(directory: Path) -> Iterator[tuple[str, ...]]:
    """Create a directory if need be, and hold it; yield what its file system cannot do, a sentence each.

    Raises ``StateError`` if another node holds it, ``OSError`` if it cannot be used.
    """
    directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    lock = open_file(directory / "lock", os.O_RDWR | os.O_CREAT)
    try:
        limits: tuple[str, ...] = () if _lock(lock, directory) else (NO_LOCK,)
        for name in FILES:
            close_to_others(directory / name)
        if stat.S_IMODE(os.fstat(lock).st_mode) & _OTHERS_READ_OR_WRITE:
            limits += (NO_MODES,)
        if not flush_directory(directory):
            limits += (NO_FLUSH,)
        yield limits
    finally:
        os.close(lock)


def close_to_others(file: Path) -> None:
    """Set mode 0600 on a file that earlier releases left open to others, where the file system can."""
    try:
        descriptor = open_file(file, os.O_RDONLY)
    except OSError:
        return  # whoever needs the file says so
    try:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & ~PRIVATE:
            with contextlib.suppress(OSError):
                os.fchmod(descriptor, PRIVATE)
    finally:
        os.close(descriptor)


def exposure(directory: Path) -> str:
    """Return who can read or write an existing directory beside its owner; empty if nobody can, or there is none."""
    try:
        mode = stat.S_IMODE(directory.stat().st_mode)
    except OSError:
        return ""
    if not mode & _OTHERS_READ_OR_WRITE:
        return ""
    deed = "write" if mode & 0o022 else "read"
    return f"{directory}: other users of this board can {deed} it (mode {mode:04o})"


def blocked_names(directory: Path) -> tuple[str, ...]:
    """Return what is wrong with each name of ``FILES`` that something else than a regular file has taken."""
    found = []
    for name in FILES:
        try:
            os.close(open_file(directory / name, os.O_RDONLY))
        except BlockedFileError as error:
            found.append(f"{error.filename}: {error.strerror}")
        except OSError:
            continue
    return tuple(found)


def _lock(descriptor: int, directory: Path) -> bool:
    """Lock a file; return False where the file system has no locks."""
    try:
        return lock_file(descriptor)
    except BlockingIOError:
        raise StateError(
            f"{directory}: another dslnode is using this state directory; give each node its own --state-dir"
        ) from None
