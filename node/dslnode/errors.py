"""Every error dslnode raises on purpose, each class named after whose fault it is, and every exit code.

    DslnodeError
    ├── SettingsError       the operator: a setting is unknown, malformed or contradicts another     exit code 2
    ├── DataError           the data set: missing, empty, broken, too large, labels out of range     exit code 3
    ├── ModelError          the model: unknown, fails to build, or does not suit the data            exit code 3
    ├── ListenError         the address to listen on: taken, not ours, not permitted                 exit code 4
    ├── StateError          the state directory: not writable, damaged, of another run               exit code 5
    ├── UnreachableError    a node that a command asked: it does not answer                          exit code 6
    └── PeerError           a neighbour: it sent something wrong; logged and counted, never fatal

A message says what is wrong, where, and what to do about it: it is printed without a stack trace.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Why the process ended; scripts and service managers may rely on these numbers."""

    DONE = 0
    """All rounds asked for are finished, or the command did what it was told."""
    INTERNAL = 1
    """A fault of dslnode itself: please report it."""
    SETTINGS = 2
    """A setting is wrong, or a file that was asked for cannot be written; nothing was started."""
    DATA = 3
    """The data set or the model cannot be used; nothing was started."""
    LISTEN = 4
    """The address to listen on cannot be bound, often because another process holds it."""
    STATE = 5
    """The state directory cannot be used, or the directory of a testbed or a simulation is in use."""
    UNREACHABLE = 6
    """The node that a command asked did not answer."""
    PROBLEM = 7
    """`dslnode doctor` found what will not work, nodes of a testbed ended before their rounds were done, or a
    simulation did not reach the score of `--until`."""
    HANGUP = 129
    """Ended cleanly by SIGHUP: 128 + 1."""
    INTERRUPTED = 130
    """Ended cleanly by Ctrl-C (SIGINT): 128 + 2."""
    TERMINATED = 143
    """Ended cleanly by SIGTERM: 128 + 15."""


class DslnodeError(Exception):
    """The root: catch it to print `str(error)` and end the process with `error.exit_code`."""

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL


class SettingsError(DslnodeError):
    """The operator's fault: a setting is unknown, malformed, out of range or contradicts another one."""

    exit_code = ExitCode.SETTINGS


class DataError(DslnodeError):
    """The data set's fault: missing, empty, broken, too large, or labelled outside its classes."""

    exit_code = ExitCode.DATA


class ModelError(DslnodeError):
    """The model's fault: its name is unknown, it cannot be built, or it does not suit the data."""

    exit_code = ExitCode.DATA


class ListenError(DslnodeError):
    """The listen address's fault: it is taken, belongs to another machine, or needs more rights."""

    exit_code = ExitCode.LISTEN


class StateError(DslnodeError):
    """The state directory's fault: not writable, damaged, or written by another run."""

    exit_code = ExitCode.STATE


class UnreachableError(DslnodeError):
    """The fault of a node that a command (such as `dslnode status`) asked: it does not answer."""

    exit_code = ExitCode.UNREACHABLE


class PeerError(DslnodeError):
    """A neighbour's fault: what it sent is wrong, so it is refused, and this node goes on.

    `reason` is a short snake_case label for metrics (few distinct values); the message is for the log.
    """

    def __init__(self, reason: str, message: str) -> None:
        """Keep `reason` for the metrics and `message` for the log."""
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[PeerError], tuple[str, str]]:
        """Let copies keep the reason; Exception's own way passes the message alone."""
        return type(self), (self.reason, str(self))
