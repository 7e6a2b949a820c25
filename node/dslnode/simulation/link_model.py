"""What a link costs in time and bytes: rate, delay and loss, as a setting names them. Pure: draws are passed in."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from dslnode.errors import SettingsError

RATES = {"bit/s": 1.0, "kbit/s": 1e3, "Mbit/s": 1e6, "Gbit/s": 1e9}
TIMES = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
EXAMPLE = "50kbit/s,200ms,2%"
SEGMENT_BYTES = 1_448
"""Bytes that TCP carries in one packet of Ethernet."""
HEADER_BYTES = 52
"""Bytes of TCP and IPv4 headers in a packet, and in its acknowledgement."""
TLS_BYTES = 22
"""Bytes that a TLS record adds to what it carries."""
MAX_LOSS = 0.5
LEAST_RATE = 1.0
"""Bits per second."""
MAX_DELAY = 86_400.0
"""Seconds one way."""
LEAST_SECONDS = 1e-3
"""What a message takes at least, on any line: two kernels, TLS, gRPC, and a thread that wakes up."""


@dataclass(frozen=True)
class LinkModel:
    """The line of a node: bits per second that it can send, seconds one way, and the part of packets that is lost."""

    bits_per_second: float = math.inf
    delay_seconds: float = 0.0
    loss: float = 0.0


@dataclass(frozen=True)
class Transfer:
    """One message on its way: bytes on the wire, seconds that the sender's line is taken, seconds until it arrives."""

    wire_bytes: int
    resent_bytes: int
    busy_seconds: float
    seconds: float


def parse_link(text: str) -> LinkModel:
    """Return the link of ``50kbit/s,200ms,2%``: rate, delay and loss in any order, each at most once.

    Raises ``SettingsError`` if the text is of another form.
    """
    found: dict[str, float] = {}
    for part in text.split(",") if text else ():
        match = re.fullmatch(r" *([0-9]{1,12}(?:\.[0-9]{1,9})?) ?([A-Za-z/%]+) *", part)
        kind = "" if match is None else _kind(match[2])
        if match is None or not kind or kind in found:
            raise SettingsError(f"--link {text}: {part!r} is not one rate, delay or loss; write it as {EXAMPLE}")
        found[kind] = float(match[1]) * {**RATES, **TIMES, "%": 0.01}[match[2]]
    if found.get("rate", math.inf) < LEAST_RATE or found.get("delay", 0.0) > MAX_DELAY:
        raise SettingsError(
            f"--link {text}: the rate must be {LEAST_RATE:g} bit/s at least, and the delay {MAX_DELAY:,.0f} s at most"
        )
    if found.get("loss", 0.0) > MAX_LOSS:
        raise SettingsError(f"--link {text}: the loss must be {MAX_LOSS:.0%} at most")
    return LinkModel(found.get("rate", math.inf), found.get("delay", 0.0), found.get("loss", 0.0))


def transfer(link: LinkModel, framed_bytes: int, draws: np.random.Generator) -> Transfer:
    """Return what so many bytes of frames cost on a link.

    Lost packets are sent again after a round trip, as often as it takes. Headers and acknowledgements count.
    """
    packets = math.ceil((framed_bytes + TLS_BYTES) / SEGMENT_BYTES)
    size = framed_bytes + TLS_BYTES + 2 * HEADER_BYTES * packets
    resent, trips = _losses(packets, link.loss, draws)
    resent_bytes = resent * math.ceil(size / packets)
    busy = 8 * (size + resent_bytes) / link.bits_per_second
    seconds = busy + (1 + 2 * trips) * link.delay_seconds
    return Transfer(size, resent_bytes, busy, max(LEAST_SECONDS, seconds))


def least_seconds(link: LinkModel) -> float:
    """Return what an empty message takes: no node learns of anything that another does in less than that."""
    return max(LEAST_SECONDS, 8 * (TLS_BYTES + 2 * HEADER_BYTES) / link.bits_per_second + link.delay_seconds)


def _losses(packets: int, loss: float, draws: np.random.Generator) -> tuple[int, int]:
    """Return how many packets are sent again, and the round trips that this takes."""
    resent, trips, lost = 0, 0, packets
    while loss and (lost := int(draws.binomial(lost, loss))):
        resent, trips = resent + lost, trips + 1
    return resent, trips


def _kind(unit: str) -> str:
    return "rate" if unit in RATES else "delay" if unit in TIMES else "loss" if unit == "%" else ""
