"""A switch in userspace: one TAP device in each namespace, and a ``Wire`` that decides. A process of its own.

``python -m tests.chaos.switch SEED NAMESPACE=ADDRESS ...`` prints ``ready``, takes conditions as lines of JSON on its
standard input, and ends, with its devices, when that closes.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import random
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from types import TracebackType

from tests.chaos.namespaces import open_tap
from tests.chaos.wire import Conditions, Wire, read_conditions

FRAME_BYTES = 65_536
BURST = 64
"""Frames that are taken from a port before the others have their turn."""


class Switch:
    """Moves frames between TAP devices when the wire says so."""

    def __init__(self, taps: Sequence[int], wire: Wire) -> None:
        self._taps = taps
        self._wire = wire
        self._waiting: list[tuple[float, int, int, bytes]] = []
        self._count = 0
        self._selector = selectors.DefaultSelector()
        self._selector.register(sys.stdin, selectors.EVENT_READ, None)
        for port, tap in enumerate(taps):
            self._selector.register(tap, selectors.EVENT_READ, port)

    def run(self) -> None:
        """Move frames until standard input closes."""
        while True:
            self._deliver(time.monotonic())
            patience = self._waiting[0][0] - time.monotonic() if self._waiting else 1.0
            for key, _ in self._selector.select(max(0.0, patience)):
                if key.data is not None:
                    self._collect(key.data)
                elif line := sys.stdin.readline():
                    self._wire.conditions = read_conditions(json.loads(line))
                else:
                    return

    def _collect(self, port: int) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(BURST):
                frame = os.read(self._taps[port], FRAME_BYTES)
                for when, other in self._wire.take(frame, port, time.monotonic()):
                    self._count += 1
                    heapq.heappush(self._waiting, (when, self._count, other, frame))

    def _deliver(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            *_, port, frame = heapq.heappop(self._waiting)
            with contextlib.suppress(OSError):  # a full device drops, as any
                os.write(self._taps[port], frame)


class Steering:
    """The other end of a switch's standard input."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def set(self, conditions: Conditions) -> None:
        """Change the network from now on."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(conditions.as_json()) + "\n")
        self._process.stdin.flush()

    def __enter__(self) -> Steering:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.communicate(timeout=30)


@contextlib.contextmanager
def switched(seed: int, addresses: Sequence[tuple[str, str]]) -> Iterator[Steering]:
    """Connect namespaces (each with the address it gets) by a switch, as long as this lasts."""
    command = [sys.executable, "-m", "tests.chaos.switch", str(seed), *map("=".join, addresses)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with Steering(process) as steering:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", "the switch did not start"
        yield steering


def main() -> None:
    """Be the switch."""
    seed, *places = sys.argv[1:]
    taps = [open_tap(*place.split("=")) for place in places]
    switch = Switch(taps, Wire(len(taps), random.Random(int(seed))))
    print("ready", flush=True)
    switch.run()


if __name__ == "__main__":
    main()
