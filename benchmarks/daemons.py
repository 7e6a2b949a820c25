"""Daemons that benchmarks start as an operator does, and time by their logs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dslnode.cli.daemon_process import DaemonProcess, Event

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


class Daemon(DaemonProcess):
    """One daemon, whose events come with the seconds since its process started."""

    @property
    def port(self) -> int:
        """The port that it listens on, known once it has started."""
        return int(self.wait_for("started")[1]["port"])

    def events(self, name: str) -> list[Event]:
        """Return the events of this name so far."""
        return self.log.named(name)

    def wait_for(
        self, name: str, condition: Callable[[Event], bool] = lambda _: True, seconds: float = 120.0
    ) -> tuple[float, Event]:
        """Return the first event of this name that meets the condition, and its seconds since process start."""
        moment, event = self.log.wait_for(lambda event: event["event"] == name and condition(event), seconds)
        return moment - self.began, event

    def wait_for_round(self, number: int, seconds: float = 120.0) -> Event:
        """Return the log line of the first finished round of this number or later."""
        return self.wait_for("round", lambda event: event["round"] >= number, seconds)[1]
