"""Real ``dslnode start`` processes on loopback, followed by their logs."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from dslnode.cli.testbed import clean_environment, command_line, free_ports

DEADLINE = 60.0

_given: set[int] = set()


def free_port() -> int:
    """Return a loopback port that is free now, another one each time."""
    while (port := free_ports(1)[0]) in _given:
        pass
    _given.add(port)
    return port


def resident(pid: int) -> int:
    """Return how many bytes of a process are in memory; ``OSError`` or ``StopIteration`` if it has just ended."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1])


class NodeProcess:
    """One running daemon; its log lines are collected as they come. Ends the process when left."""

    def __init__(
        self, name: str, port: int, *options: str, host: str = "127.0.0.1", within: tuple[str, ...] = ()
    ) -> None:
        """Start it; ``within`` is a command that runs another one, as in a network namespace."""
        self.name = name
        self.address = f"{host}:{port}"
        self.log: list[dict[str, Any]] = []
        self.other_output: list[str] = []
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            [
                *within,
                *command_line("start", "--name", name, "--listen", self.address),
                *("--metrics", "off", "--log-format", "json", *options),
            ],
            stderr=subprocess.PIPE,
            env=clean_environment(),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> NodeProcess:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(DEADLINE)
        self._reader.join(DEADLINE)

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool], seconds: float = DEADLINE) -> dict[str, Any]:
        """Return the first log line, past or to come, that is wanted; fail after ``seconds``."""
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                for line in self.log:
                    if wanted(line):
                        return line
                left = deadline - time.monotonic()
                if left <= 0 or not self._news.wait(left):
                    raise AssertionError(f"{self.name} did not log it in {seconds} s:\n{self.tail()}")

    def wait_for_event(self, event: str, **fields: object) -> dict[str, Any]:
        """Return the first log line of an event with these fields."""
        return self.wait_for(lambda line: line["event"] == event and fields.items() <= line.items())

    def wait_for_round(self, number: int) -> dict[str, Any]:
        """Return the log line of the first finished round from ``number`` on."""
        return self.wait_for(lambda line: line["event"] == "round" and line["round"] >= number)

    def rounds(self) -> list[dict[str, Any]]:
        """Return the log lines of all finished rounds."""
        with self._news:
            return [line for line in self.log if line["event"] == "round"]

    def end(self, number: signal.Signals) -> tuple[int, float]:
        """Send a signal; return the exit code and the seconds it took."""
        began = time.monotonic()
        self._process.send_signal(number)
        return self._process.wait(DEADLINE), time.monotonic() - began

    def wait(self) -> int:
        """Return the exit code when the process has ended by itself."""
        code = self._process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        return code

    def limit_files(self, size: int | None) -> None:
        """Let the process write no file of more bytes than ``size``; None lifts the limit."""
        _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def tail(self) -> str:
        """Return the last lines of the output, for a failed test's message."""
        return "\n".join([*self.other_output[-20:], *(json.dumps(line) for line in self.log[-20:])])

    def _read(self) -> None:
        assert self._process.stderr is not None
        for raw in self._process.stderr:
            with self._news:
                try:
                    self.log.append(json.loads(raw))
                except ValueError:
                    self.other_output.append(raw.decode(errors="replace").rstrip())
                self._news.notify_all()
