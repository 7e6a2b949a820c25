"""The signals that end a process of ``dslnode`` in good order, and the exit code of each."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator

from dslnode.errors import ExitCode

ENDINGS = {
    signal.SIGHUP: ExitCode.HANGUP,
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
}
"""Ticket and revocation list are read again by themselves: no signal is needed."""


class Stopped(KeyboardInterrupt):
    """A signal asks the process to end; ``code`` is how it then ends."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__()
        self.code = code


@contextlib.contextmanager
def signals_kept() -> Iterator[None]:
    """Put back the handlers of these signals: a library, such as Ray, may set its own when it is loaded."""
    before = {number: signal.getsignal(number) for number in ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def until_stopped(work: Callable[[], ExitCode]) -> ExitCode:
    """Return how work ends in which each of the signals raises ``Stopped``. Those that are ignored stay ignored."""

    def stop(number: int, _frame: object) -> None:
        raise Stopped(ENDINGS[signal.Signals(number)])

    heeded = [number for number in ENDINGS if signal.getsignal(number) is not signal.SIG_IGN]
    former = {number: signal.signal(number, stop) for number in heeded}
    try:
        return work()
    except Stopped as stopped:
        return stopped.code
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
