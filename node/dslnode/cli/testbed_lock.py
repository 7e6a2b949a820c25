"""Holds the directory of a testbed: two testbeds in one would share pages, targets, tickets, states and logs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from dslnode.atomic_file import open_file
from dslnode.errors import SettingsError, StateError
from dslnode.runtime.file_lock import lock_file

MAX_BYTES = 20
"""Of a process id and what follows it."""


@contextlib.contextmanager
def held(directory: Path) -> Iterator[None]:
    """Create a directory if need be, and hold it, before anything else in it is touched.

    The file ``lock`` has the process id. The nodes hold it, too, until the last of them has ended. Raises
    ``StateError`` if another testbed holds it, ``SettingsError`` if it cannot be used.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = open_file(directory / "lock", os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise SettingsError(f"--dir {directory}: cannot be used ({error.strerror}); name another one") from error
    try:
        _lock(descriptor, directory)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, directory: Path) -> None:
    try:
        lock_file(descriptor)  # without locks, as some network shares are, the user has to take care
    except BlockingIOError:
        raise StateError(
            f"--dir {directory}: another testbed{_process(descriptor)} is using it; end that one, or give another "
            "directory"
        ) from None
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        raise SettingsError(f"--dir {directory}: cannot be used ({error.strerror}); name another one") from error


def _process(descriptor: int) -> str:
    """Return which process wrote the lock, as words; empty if it has not written yet."""
    content = os.pread(descriptor, MAX_BYTES, 0).strip()
    return f" (process {content.decode()})" if content.isdigit() else ""
