"""Real daemons as child processes: started as an operator does, watched through their JSON logs, always ended."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dslnode.cli.testbed import clean_environment, command_line

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
STOP_SECONDS = 10.0
Event = dict[str, Any]


class Daemon:
    """One ``dslnode start`` with the given arguments; a context manager that ends it. Errors quote its log.

    ``prefix`` goes before the command line, for example ``ip netns exec NAME``.
    """

    def __init__(self, *given: str, prefix: Sequence[str] = ()) -> None:
        self.began = time.monotonic()
        self._process = subprocess.Popen(
            [*prefix, *command_line("start", "--log-format", "json", *given)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=clean_environment(),
            text=True,
        )
        self._log: list[tuple[float, Event]] = []
        self._news = threading.Condition()
        self._ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.resume()
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def port(self) -> int:
        """The port that it listens on, known once it has started."""
        return int(self.wait_for("started")[1]["port"])

    def events(self, name: str) -> list[Event]:
        """Return the events of this name so far."""
        with self._news:
            return [event for _, event in self._log if event.get("event") == name]

    def wait_for(
        self, name: str, condition: Callable[[Event], bool] = lambda _: True, seconds: float = 120.0
    ) -> tuple[float, Event]:
        """Return the first event of this name that meets the condition, and its seconds since process start."""
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                for moment, event in self._log:
                    if event.get("event") == name and condition(event):
                        return moment - self.began, event
                if self._ended or not self._news.wait(deadline - time.monotonic()):
                    raise RuntimeError(f"the daemon did not log {name!r}; its last lines: {self._log[-5:]}")

    def wait_for_round(self, number: int, seconds: float = 120.0) -> Event:
        """Return the log line of the first finished round of this number or later."""
        return self.wait_for("round", lambda event: event["round"] >= number, seconds)[1]

    def pause(self) -> None:
        """Stop the process in its tracks (SIGSTOP); its kernel still answers for its connections."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self._process.send_signal(signal.SIGCONT)

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            moment = time.monotonic()
            with self._news:
                self._log.append((moment, _parse(line)))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()


def _parse(line: str) -> Event:
    try:
        event = json.loads(line)
    except ValueError:
        return {"line": line.rstrip()}
    return event if isinstance(event, dict) else {"line": line.rstrip()}
