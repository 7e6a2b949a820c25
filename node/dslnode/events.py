"""What the round machine is told and what it asks for: events and commands, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dslnode.mask import Mask, MaskMessage


class Phase(StrEnum):
    """Where in its round a node is."""

    STARTING = "starting"
    TRAINING = "training"
    EXCHANGING = "exchanging"
    AGGREGATING = "aggregating"
    FINISHED = "finished"


@dataclass(frozen=True)
class Started:
    """The node is ready for its first round."""


@dataclass(frozen=True)
class Trained:
    """Local training of the round is done and gave this mask."""

    mask: Mask


@dataclass(frozen=True)
class Aggregated:
    """Aggregation and fine-tuning of the round are done."""


@dataclass(frozen=True)
class Received:
    """A connected neighbour's mask arrived."""

    peer: str
    message: MaskMessage


@dataclass(frozen=True)
class PeerUp:
    """A link to a neighbour came up, or was replaced by a newer one; ``round`` is what the neighbour is in."""

    peer: str
    round: int


@dataclass(frozen=True)
class PeerDown:
    """The link to a neighbour is gone."""

    peer: str


@dataclass(frozen=True)
class DeadlinePassed:
    """The deadline set for this round passed."""

    round: int


Event = Started | Trained | Aggregated | Received | PeerUp | PeerDown | DeadlinePassed


@dataclass(frozen=True)
class HeldMask:
    """A neighbour's newest mask and how many of this node's rounds ago it arrived."""

    peer: str
    mask: Mask
    staleness: int


@dataclass(frozen=True)
class Train:
    """Run the local training of this round; answer with ``Trained``."""

    round: int


@dataclass(frozen=True)
class Send:
    """Send to this neighbour; a newer mask may overtake one that still waits."""

    peer: str
    message: MaskMessage


@dataclass(frozen=True)
class SetDeadline:
    """Feed ``DeadlinePassed`` for this round when its time is up; replaces any earlier deadline."""

    round: int


@dataclass(frozen=True)
class Aggregate:
    """Aggregate these masks and fine-tune; answer with ``Aggregated``."""

    round: int
    masks: tuple[HeldMask, ...]


@dataclass(frozen=True)
class Save:
    """The round is finished: make it durable. ``round`` is the one to begin with after a restart."""

    round: int


@dataclass(frozen=True)
class Refuse:
    """A neighbour's message broke the rules and was dropped: count it and say so."""

    peer: str
    reason: str
    explanation: str


@dataclass(frozen=True)
class Finish:
    """All rounds that were asked for are done."""


Command = Train | Send | SetDeadline | Aggregate | Save | Refuse | Finish
