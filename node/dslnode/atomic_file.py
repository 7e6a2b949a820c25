"""Replaces a file whole or not at all, and durably."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def replace_file(file: Path, content: bytes, older: Path | None = None) -> None:
    """Write ``content`` beside ``file``, flush it, let it take the file's name, and flush the directory.

    What had the name before takes that of ``older``, if given. A file that could not be written whole is removed: its
    bytes may be all that is missing on a full disk.
    """
    beside = file.with_name(file.name + ".new")
    try:
        with beside.open("wb") as target:
            target.write(content)
            target.flush()
            os.fsync(target.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    if older is not None and file.exists():
        file.replace(older)
    beside.replace(file)
    directory = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
