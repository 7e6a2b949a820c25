"""What a running node tells the program that embeds it, as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RoundFinished:
    """A round is finished. ``round`` counts the finished ones; figures that are not known yet are None.

    ``score``, by its name, is that on held-out data when it was measured last, higher is better; ``accuracy``, 0 to 1,
    is there where the task has one; ``loss`` is the mean training loss of the round; ``payload_bits_sent`` counts the
    bits of all masks sent since the node's first start.
    """

    round: int
    accuracy: float | None
    loss: float | None
    neighbours: int
    payload_bits_sent: int
    score: float | None = None
    score_name: str = ""


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
