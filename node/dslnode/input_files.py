"""Files that a user names to be read whole: regular ones of a bounded size, also behind a symbolic link.

A pipe or a device could block for ever, or never end and fill the memory.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

CHUNK_BYTES = 1 << 20
_KINDS = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def read_input(file: Path, max_bytes: int) -> bytes:
    """Return a file's content. Raises ``OSError`` if it is no regular file, is larger, or cannot be read."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # opening a pipe waits for its other end
    try:
        _check(file, os.fstat(descriptor))
        content = bytearray()
        while len(content) <= max_bytes and (more := os.read(descriptor, CHUNK_BYTES)):
            content += more
    finally:
        os.close(descriptor)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {_amount(max_bytes)}", str(file))
    return bytes(content)


def check_regular(file: Path) -> int:
    """Return the size of a file that others read, in bytes. Raises ``OSError`` if it is no regular file, or missing."""
    status = file.stat()
    _check(file, status)
    return status.st_size


def _check(file: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise OSError(errno.EINVAL, f"it is {what}, no regular file", str(file))


def _amount(size: int) -> str:
    return f"{size >> 30} GiB" if size >= 1 << 30 else f"{size >> 20} MiB"
