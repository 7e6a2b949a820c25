"""What a running node tells the program that embeds it, as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RoundFinished:
    """A round is finished. ``round`` counts the finished ones; figures that are not known yet are None.

    ``accuracy`` is that on held-out data, 0 to 1, when it was measured last; ``loss`` the mean training loss of the
    round; ``payload_bits_sent`` counts the bits of all masks sent since the node's first start.
    """

    round: int
    accuracy: float | None
    loss: float | None
    neighbours: int
    payload_bits_sent: int


@dataclass(frozen=True)
class PeerUp:
    """A link to a neighbour is open."""

    name: str
    node_id: str


@dataclass(frozen=True)
class PeerDown:
    """A link to a neighbour is closed; ``reason`` says why in a few words."""

    name: str
    node_id: str
    reason: str


NodeEvent = RoundFinished | PeerUp | PeerDown
