"""The directory of a process's Unix sockets between TLS and gRPC: private, short enough, locked while it is used.

The lock is held on the directory itself (``flock``). It tells other nodes that the directory is in use, and keeps
systemd-tmpfiles from aging it. A process that was killed leaves its directory behind without a lock; the next node of
the same user removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

PREFIX = "dslnode-"
MAX_PATH_BYTES = 107
"""Bytes of a path that fit in ``sockaddr_un``, without the zero at its end."""
LONGEST_NAME = "9" * 10
"""The longest name that a socket may get: they are numbered."""
ATTEMPTS = 3
_MADE_HERE = re.compile(PREFIX + r"[a-z0-9_]{8}")
_SOCKET_NAME = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True)
class SocketDirectory:
    """A directory with mode 0700 that this process holds a lock on, by the open file ``descriptor``."""

    path: Path
    descriptor: int

    def is_intact(self) -> bool:
        """Return whether the path still leads to this directory."""
        try:
            found = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return False
        return os.path.samestat(found, os.fstat(self.descriptor))

    def close(self) -> None:
        """Remove the directory with all sockets, unless another one has taken its place, and give the lock back."""
        if self.is_intact():
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.descriptor)


def grpc_target(path: Path) -> str:
    """Return the path of a Unix socket as gRPC reads it: a URI, in which % # and ? have a meaning."""
    return f"unix:{quote(str(path))}"


def parent_directories(state_dir: Path | None = None, environment: Mapping[str, str] = os.environ) -> list[Path]:
    """Return where the directory may be made, best first: the service's, the user's, the temporary ones, the state."""
    service = environment.get("RUNTIME_DIRECTORY", "").split(":")
    user = environment.get("XDG_RUNTIME_DIR", "")
    candidates = [Path(text) for text in (*service, user if _is_own(user) else "") if text]
    with contextlib.suppress(OSError):  # no temporary directory can be written
        candidates.append(Path(tempfile.gettempdir()))
    candidates += [Path("/tmp"), *([state_dir.absolute()] if state_dir is not None else [])]
    return list(dict.fromkeys(candidate for candidate in candidates if candidate.is_absolute()))


def make_socket_directory(parents: list[Path]) -> SocketDirectory:
    """Make and lock a directory in the first parent in which Unix sockets work; ``OSError`` if there is none."""
    problems = []
    for parent in parents:
        try:
            return _make_in(parent)
        except OSError as error:
            problems.append(f"{_shown(parent)}: {error.strerror or error}")
    raise OSError(
        "no directory for Unix sockets can be made; set TMPDIR to a directory that can be written and has a short path "
        f"({'; '.join(problems)})"
    )


def remove_stale_directories(parents: list[Path]) -> list[Path]:
    """Remove directories of this user's processes that have ended without doing so; return their paths."""
    return [path for parent in parents for path in _candidates(parent) if _remove_stale(path)]


def _make_in(parent: Path) -> SocketDirectory:
    _check_path(parent)
    for _ in range(ATTEMPTS):
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))  # mode 0700
        try:
            directory = _lock(path)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        if directory is None:
            continue
        try:
            _try_socket(directory.path)
        except BaseException:
            directory.close()
            raise
        return directory
    raise OSError("other processes remove what is made there")


def _check_path(parent: Path) -> None:
    size = len(os.fsencode(parent / (PREFIX + "x" * 8) / LONGEST_NAME))
    if size > MAX_PATH_BYTES:
        raise OSError(f"the path is {size - MAX_PATH_BYTES} bytes too long")
    if "," in str(parent) or not str(parent).isprintable():
        raise OSError("gRPC cannot read a path with a comma or unprintable characters")


def _lock(path: Path) -> SocketDirectory | None:
    """Lock a directory just made; None if another process took it for a stale one in that moment."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    directory = SocketDirectory(path, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if directory.is_intact():
            return directory
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _try_socket(directory: Path) -> None:
    path = directory / LONGEST_NAME
    with socket.socket(socket.AF_UNIX) as probe:
        probe.bind(str(path))
    path.unlink()


def _is_own(directory: str) -> bool:
    try:
        return bool(directory) and os.stat(directory).st_uid == os.geteuid()
    except OSError:
        return False


def _candidates(parent: Path) -> Iterator[Path]:
    try:
        names = os.listdir(parent)
    except OSError:
        return
    yield from (parent / name for name in names if _MADE_HERE.fullmatch(name))


def _remove_stale(path: Path) -> bool:
    """Remove one directory if it is ours, nobody holds its lock, and nothing but dead sockets is in it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        names = os.listdir(descriptor)
        if not all(_is_dead_socket(path, name, descriptor) for name in names):
            return False
        for name in names:
            os.unlink(name, dir_fd=descriptor)
        path.rmdir()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _is_dead_socket(directory: Path, name: str, descriptor: int) -> bool:
    """Return whether this is a socket at which nobody listens; a dslnode before this lock has one that answers."""
    status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    if not _SOCKET_NAME.fullmatch(name) or not stat.S_ISSOCK(status.st_mode):
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(directory / name))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def _shown(path: Path) -> str:
    text = os.fsencode(path).decode(errors="replace")
    shown = text if len(text) <= 40 else text[:40] + "..."
    return "".join(letter if letter.isprintable() else "?" for letter in shown)
