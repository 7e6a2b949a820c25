"""Real daemons on this machine, each a process started with ``dslnode start`` and followed by its log."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from dslnode.config.loader import PREFIX
from dslnode.config.settings import Settings

LISTENING_PORTS = range(20_000, 32_768)  # Linux lends outgoing connections 32768 to 60999, others 49152 to 65535
MAX_TAIL_LINES = 20
STOP_SECONDS = 10.0
Event = dict[str, Any]


class DaemonLog:
    """The JSON log of one daemon, with the time at which each line arrived. Safe from any thread.

    ``events`` are the lines that are JSON objects with an event, ``other_lines`` all others.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.other_lines: list[str] = []
        self._arrivals: list[float] = []
        self._changed = threading.Condition()
        self._ended = False

    def add(self, line: str) -> None:
        """Add one line of the output."""
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        with self._changed:
            if isinstance(event, dict) and "event" in event:
                self.events.append(event)
                self._arrivals.append(time.monotonic())
            else:
                self.other_lines.append(line.rstrip())
            self._changed.notify_all()

    def end(self) -> None:
        """Note that no further line will come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def named(self, name: str) -> list[Event]:
        """Return all events of a name so far."""
        with self._changed:
            return [event for event in self.events if event["event"] == name]

    def wait_for(self, condition: Callable[[Event], bool], timeout: float) -> tuple[float, Event]:
        """Return the first event, past or to come, that meets a condition, and when it arrived (monotonic clock).

        Raises ``TimeoutError`` with the last lines after ``timeout`` seconds, or when the log has ended without it.
        """
        deadline, checked = time.monotonic() + timeout, 0
        with self._changed:
            while True:
                for index in range(checked, len(self.events)):
                    if condition(self.events[index]):
                        return self._arrivals[index], self.events[index]
                checked = len(self.events)
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    raise TimeoutError(f"not logged within {timeout:g} s; the last lines:\n{self.tail()}")
                self._changed.wait(left)

    def tail(self) -> str:
        """Return the last lines."""
        events = (json.dumps(event) for event in self.events[-MAX_TAIL_LINES:])
        return "\n".join([*self.other_lines[-MAX_TAIL_LINES:], *events])

    def complaints(self) -> list[str]:
        """Return the last warnings, errors and lines that are no events."""
        serious = [event for event in self.events if event.get("level", "error") in {"warning", "error"}]
        return [*self.other_lines[-MAX_TAIL_LINES:], *map(json.dumps, serious[-MAX_TAIL_LINES:])]


class DaemonProcess:
    """One ``dslnode start`` as a child process, whose log a thread follows. The process ends with the block.

    ``prefix`` goes before the command line, for example ``ip netns exec NAME``.
    """

    def __init__(self, *options: str, prefix: Sequence[str] = ()) -> None:
        self.began = time.monotonic()
        self.log = DaemonLog()
        self.process = subprocess.Popen(
            [*prefix, *command_line("start", "--log-format", "json", *options)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=clean_environment(),
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def stop(self) -> None:
        """Terminate the process, even if it is paused; kill it if it takes more than ``STOP_SECONDS``."""
        self.resume()
        end_process(self.process)
        self._reader.join(STOP_SECONDS)

    def pause(self) -> None:
        """Stop the process from running (SIGSTOP); its kernel still answers for its connections."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process continue."""
        self.process.send_signal(signal.SIGCONT)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.add(line)
        self.log.end()


def end_process(process: subprocess.Popen[Any]) -> None:
    """Terminate a process; kill it if it takes more than ``STOP_SECONDS``."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def command_line(*parts: str) -> list[str]:
    """Return the command line of a ``dslnode`` command, run by this interpreter."""
    return [sys.executable, "-m", "dslnode", *parts]


def clean_environment() -> dict[str, str]:
    """Return this process's environment without settings, which would reach into every node."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def start_options(settings: Settings) -> list[str]:
    """Return the options of ``dslnode start`` for those settings that were given."""
    given = settings.model_dump(exclude_unset=True)
    return [part for name, value in given.items() for part in _option(name, value)]


def _option(name: str, value: object) -> tuple[str, str]:
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f"--{name.replace('_', '-')}", text


def free_ports(count: int) -> list[int]:
    """Return loopback ports that are free now; ``OSError`` if there are not as many.

    None is among those that systems lend to outgoing connections: a node dials its neighbours before they listen, and
    would now and then be lent the very port that one of them is about to bind.
    """
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        candidates = iter(random.SystemRandom().sample(LISTENING_PORTS, len(LISTENING_PORTS)))
        return [_bound(free, candidates) for free in sockets]


def _bound(free: socket.socket, candidates: Iterator[int]) -> int:
    for port in candidates:
        with contextlib.suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
    raise OSError(errno.EADDRINUSE, f"no port from {LISTENING_PORTS[0]} to {LISTENING_PORTS[-1]} is free on 127.0.0.1")
