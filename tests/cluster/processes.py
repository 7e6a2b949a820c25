"""Real ``dslnode start`` processes on loopback, followed by their logs."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

from dslnode.cli.daemon_process import DaemonProcess, Event, free_ports

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


class NodeProcess(DaemonProcess):
    """One running daemon on loopback; its log lines are collected as they come. Killed when the block is left."""

    def __init__(
        self, name: str, port: int, *options: str, host: str = "127.0.0.1", within: tuple[str, ...] = ()
    ) -> None:
        """Start it; ``within`` is a command that runs another one, as in a network namespace."""
        self.name = name
        self.address = f"{host}:{port}"
        super().__init__("--name", name, "--listen", self.address, "--metrics", "off", *options, prefix=within)

    def stop(self) -> None:
        """Kill the process: a test that is over waits for no orderly stop."""
        if self.process.poll() is None:
            self.process.kill()
        self.wait()

    def wait_for(self, condition: Callable[[Event], bool], seconds: float = DEADLINE) -> Event:
        """Return the first log line, past or to come, that meets a condition; fail after ``seconds``."""
        try:
            return self.log.wait_for(condition, seconds)[1]
        except TimeoutError as error:
            raise AssertionError(f"{self.name}: {error}") from None

    def wait_for_event(self, event: str, **fields: object) -> Event:
        """Return the first log line of an event with these fields."""
        return self.wait_for(lambda line: line["event"] == event and fields.items() <= line.items())

    def wait_for_round(self, number: int) -> Event:
        """Return the log line of the first finished round from ``number`` on."""
        return self.wait_for(lambda line: line["event"] == "round" and line["round"] >= number)

    def rounds(self) -> list[Event]:
        """Return the log lines of all finished rounds."""
        return self.log.named("round")

    def end(self, number: signal.Signals) -> tuple[int, float]:
        """Send a signal; return the exit code and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(DEADLINE), time.monotonic() - began

    def wait(self) -> int:
        """Return the exit code when the process has ended by itself."""
        code = self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        return code

    def limit_files(self, size: int | None) -> None:
        """Let the process write no file of more bytes than ``size``; None lifts the limit."""
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None
