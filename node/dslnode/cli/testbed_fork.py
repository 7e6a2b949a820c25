"""Forks processes from one that has imported what a node needs, so that all of them share that memory.

Only a process with a single thread, in which neither torch has computed nor gRPC been started, can be forked: threads
and their locks do not survive it.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from dslnode.cli.endings import ENDINGS
from dslnode.errors import DslnodeError, ExitCode

SHARED_MODULES = (
    *("dslnode.cli.node_process", "dslnode.security.credentials", "dslnode.security.member_signature"),
    *("numpy.ma", "tomlkit"),
)
"""What a node imports in its life: the first of them loads torch and gRPC."""
END_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux: the signal that a process gets when its parent is gone."""
AWAITED = frozenset({*ENDINGS, signal.SIGCHLD})
"""Signals that the parent blocks and waits for; its children do not inherit that."""


def share_memory() -> None:
    """Import what nodes need, and keep the garbage collector's marks out of what is shared."""
    for name in SHARED_MODULES:
        import_module(name)
    gc.collect()
    gc.freeze()


def fork(work: Callable[[], NoReturn], *, log: Path, namespace: str = "") -> int:
    """Return the process id of a child that does ``work``, which has to end the process; its output goes to ``log``.

    The child runs in a session of its own, so that Ctrl-C reaches the parent alone, and ends with the parent. With a
    ``namespace`` it lives in that network. Raises ``OSError`` if no process can be made.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _live(work, log=log, namespace=namespace, parent=parent)
    return pid


def private_bytes(pid: int) -> int:
    """Return the bytes of memory that a process shares with no other; ``OSError`` if it has just ended."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    amounts = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return 1024 * (amounts["Private_Clean"] + amounts["Private_Dirty"])


def _live(work: Callable[[], NoReturn], *, log: Path, namespace: str, parent: int) -> NoReturn:
    """Do the work, and never return: what called ``fork`` is the parent's business."""
    code = ExitCode.INTERNAL
    try:
        _begin_life(log, parent)
        if namespace:
            _enter(namespace)
        work()
    except SystemExit as end:
        code = ExitCode(int(end.code or 0))
    except DslnodeError as error:
        print(f"dslnode: {error}", file=sys.stderr, flush=True)
        code = error.exit_code
    except BaseException:
        traceback.print_exception(*sys.exc_info())
    finally:
        os._exit(code)


def _begin_life(log: Path, parent: int) -> None:
    os.setsid()
    for number, why in ENDINGS.items():
        signal.signal(number, lambda *_, code=why: os._exit(code))  # until the node listens to them
    signal.pthread_sigmask(signal.SIG_UNBLOCK, AWAITED)
    ctypes.CDLL(None).prctl(END_WITH_PARENT, int(signal.SIGTERM))
    if os.getppid() != parent:  # it ended before the line above
        os._exit(ExitCode.TERMINATED)
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    for descriptor, stream in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, stream)
    os.close(nothing)
    os.close(output)


def _enter(namespace: str) -> None:
    with open(f"/run/netns/{namespace}", "rb") as there:
        library = ctypes.CDLL(None, use_errno=True)
        if library.setns(there.fileno(), 0):
            raise OSError(ctypes.get_errno(), f"cannot enter the network namespace {namespace}")
