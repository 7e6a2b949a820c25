"""The signals that end a process of ``dslnode`` in good order, and the exit code of each."""

from __future__ import annotations

import signal

from dslnode.errors import ExitCode

ENDINGS = {
    signal.SIGHUP: ExitCode.HANGUP,
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
}
"""Ticket and revocation list are read again by themselves: no signal is needed."""
