"""The lock on a file by which one process holds a directory; it is gone as soon as all that hold it have ended."""

from __future__ import annotations

import errno
import fcntl

from dslnode.atomic_file import UNSUPPORTED

_NO_LOCK = UNSUPPORTED | {errno.ENOLCK, errno.EBADF}  # EBADF: NFS locks no directory


def lock_file(descriptor: int) -> bool:
    """Lock a file or a directory without waiting; return False where the file system has no locks.

    Processes that are forked later hold it, too. Raises ``BlockingIOError`` if another process holds it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCK:
            return False
        if error.errno == errno.EACCES:  # as Windows shares say it
            raise BlockingIOError(errno.EAGAIN, error.strerror) from error
        raise
    return True
