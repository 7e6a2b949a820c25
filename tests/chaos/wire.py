"""What a bad network does with a frame: whom it reaches, when, or that it is lost. Pure but for the given chance.

Ports are numbered from 0. Times are in seconds, rates in bits per second.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

QUEUE_SECONDS = 0.5
"""What a slow port holds back at most; what comes beyond that is dropped, as by a router with a short queue."""
ADDRESS_BYTES = 6


@dataclass(frozen=True)
class Conditions:
    """How bad the network is. ``apart`` are the ports on one side of a partition; the others are on the other side."""

    delay: float = 0.0  # one way
    loss: float = 0.0  # of each frame to each port, 0 to 1
    rates: Mapping[int, float] = field(default_factory=dict)  # of ports that are slow, each way
    apart: frozenset[int] = frozenset()

    def reaches(self, port: int, other: int) -> bool:
        """Return whether frames pass between two ports at all."""
        return (port in self.apart) == (other in self.apart)

    def as_json(self) -> dict[str, Any]:
        """Return what ``read_conditions`` reads back."""
        rates = {str(port): rate for port, rate in self.rates.items()}
        return {"delay": self.delay, "loss": self.loss, "rates": rates, "apart": sorted(self.apart)}


def read_conditions(given: Mapping[str, Any]) -> Conditions:
    """Return the conditions that JSON says."""
    rates = {int(port): float(rate) for port, rate in given["rates"].items()}
    return Conditions(float(given["delay"]), float(given["loss"]), rates, frozenset(given["apart"]))


class Wire:
    """A switch's memory: which address is behind which port, and until when slow ports are busy."""

    def __init__(self, ports: int, chance: random.Random) -> None:
        self.conditions = Conditions()
        self._ports = ports
        self._chance = chance
        self._behind: dict[bytes, int] = {}
        self._busy: dict[tuple[int, str], float] = {}

    def take(self, frame: bytes, port: int, now: float) -> Iterator[tuple[float, int]]:
        """Take an Ethernet frame from a port; yield when it leaves the switch, and by which ports."""
        target, source = frame[:ADDRESS_BYTES], frame[ADDRESS_BYTES : 2 * ADDRESS_BYTES]
        self._behind[source] = port
        entered = self._pass(port, "in", frame, now)
        if entered is None:
            return
        known = self._behind.get(target)
        for other in range(self._ports) if known is None else (known,):
            if other == port or not self.conditions.reaches(port, other):
                continue
            if self._chance.random() < self.conditions.loss:
                continue
            left = self._pass(other, "out", frame, entered + self.conditions.delay)
            if left is not None:
                yield left, other

    def _pass(self, port: int, direction: str, frame: bytes, now: float) -> float | None:
        """Return when a frame is through a port, None if the port's queue has no room for it."""
        rate = self.conditions.rates.get(port)
        if rate is None:
            return now
        begins = max(now, self._busy.get((port, direction), now))
        if begins - now > QUEUE_SECONDS:
            return None
        self._busy[port, direction] = begins + 8 * len(frame) / rate
        return self._busy[port, direction]
