"""Testbeds that tests and benchmarks run as a user does, followed by what they print."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dslnode.cli.daemon_process import clean_environment
from dslnode.cli.testbed_log import progress_of

DEADLINE = 120.0
LOCAL_STEPS = ("--local-steps", "5")


class Bed:
    """A testbed that runs, followed by what it prints."""

    def __init__(self, directory: Path, *options: str, deadline: float = DEADLINE) -> None:
        self.directory = directory
        self.lines: list[str] = []
        self._deadline = deadline
        command = [sys.executable, "-m", "dslnode", "testbed", "--dir", str(directory), *options]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=clean_environment(),
            start_new_session=True,
        )
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def pid(self, number: int) -> int:
        """Return the process id of a node that runs."""
        return int((self.directory / f"node-{number}" / "pid").read_text())

    def is_running(self, number: int) -> bool:
        """Return whether a node has a process."""
        return (self.directory / f"node-{number}" / "pid").exists()

    def round(self, number: int) -> int:
        """Return the last round that a node has finished."""
        return progress_of(self.directory / f"node-{number}" / "log").round

    def wait_until(self, what: str, happened: Callable[[], bool]) -> None:
        """Wait until something holds; it is looked at again whenever a line is printed, and ten times a second."""
        deadline = time.monotonic() + self._deadline
        with self._changed:
            while not happened():
                assert self.process.poll() is None, f"ended before {what}:\n{self.output}"
                assert time.monotonic() < deadline, f"not within {self._deadline:.0f} s: {what}\n{self.output}"
                self._changed.wait(0.1)

    def has_said(self, text: str) -> bool:
        """Return whether a line that was printed has this text."""
        return any(text in line for line in self.lines)

    def end(self, number: signal.Signals | None = None) -> int:
        """Send a signal, if any, and return the exit code once it has ended."""
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(self._deadline)
        self._reader.join(DEADLINE)
        return code

    @property
    def output(self) -> str:
        """All that it printed."""
        return "".join(self.lines)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()


@contextmanager
def running_bed(directory: Path, *options: str, deadline: float = DEADLINE) -> Iterator[Bed]:
    """Run a testbed with rounds of few steps, unless ``options`` say otherwise, until the block is left."""
    bed = Bed(directory, *LOCAL_STEPS, *options, deadline=deadline)
    try:
        yield bed
    finally:
        if bed.process.poll() is None:
            bed.process.kill()
        bed.end()


def processes_of(directory: Path) -> list[int]:
    """Return the processes whose log is in the directory: those that have it as standard error."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if Path(os.readlink(entry / "fd" / "2")).is_relative_to(directory):
                found.append(int(entry.name))
        except OSError:
            continue
    return found
