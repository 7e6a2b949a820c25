"""What the round machine is told and what it asks for: events and commands, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dslnode.protocol.mask import Mask
from dslnode.protocol.messages import ExchangeState, MaskMessage, Unchanged


class Phase(StrEnum):
    """Where in its round a node is."""

    STARTING = "starting"
    WAITING = "waiting"  # to be allowed to train
    TRAINING = "training"
    EXCHANGING = "exchanging"
    AGGREGATING = "aggregating"
    FINISHED = "finished"


@dataclass(frozen=True)
class Started:
    """The node is ready for its first round."""


@dataclass(frozen=True)
class Trained:
    """Local training of the round is done and gave this mask.

    ``skipped`` neighbours are sent nothing this round. Of those whose masks come at a pace of their own, ``paced``,
    none is waited for.
    """

    mask: Mask
    skipped: frozenset[str] = frozenset()
    paced: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Aggregated:
    """Aggregation and fine-tuning of the round are done; ``masks`` are the neighbours' that were aggregated."""

    masks: Mapping[str, Mask] = field(default_factory=dict)


@dataclass(frozen=True)
class Received:
    """A connected neighbour's mask arrived, or its word that nothing changed."""

    peer: str
    message: MaskMessage | Unchanged


@dataclass(frozen=True)
class ExchangeStateReceived:
    """A connected neighbour said what it holds of our scores."""

    peer: str
    greeting: ExchangeState


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


@dataclass(frozen=True)
class TrainingPaused:
    """The node yields to something else before it trains, or does so no more; neighbours go on meanwhile."""

    over: bool = False


Event = (
    Started
    | Trained
    | Aggregated
    | Received
    | ExchangeStateReceived
    | PeerUp
    | PeerDown
    | DeadlinePassed
    | TrainingPaused
)


@dataclass(frozen=True)
class NeighbourMasks:
    """What a neighbour has said: its newest keep mask, if it sends any, and the sign masks not yet taken in, in order.

    ``staleness`` is how many of this node's rounds ago the newest of them arrived.
    """

    peer: str
    mask: Mask | None
    signs: tuple[MaskMessage, ...]
    staleness: int


@dataclass(frozen=True)
class Train:
    """Run the local training of this round; answer with ``Trained``."""

    round: int


@dataclass(frozen=True)
class SendMask:
    """Send a keep mask to this neighbour; a newer one may overtake one that still waits."""

    peer: str
    message: MaskMessage


@dataclass(frozen=True)
class SendSignMasks:
    """Make sign masks and send each of these neighbours its own, and after it the keep mask if there is one."""

    round: int
    peers: tuple[str, ...]
    then: MaskMessage | None


@dataclass(frozen=True)
class OpenExchange:
    """Tell this neighbour what we hold of its scores."""

    peer: str


@dataclass(frozen=True)
class Resynchronize:
    """Take in what this neighbour holds of our scores, and send again what it lost."""

    peer: str
    greeting: ExchangeState


@dataclass(frozen=True)
class ForgetPeers:
    """These neighbours are gone for good: drop what is kept of their scores."""

    peers: tuple[str, ...]


@dataclass(frozen=True)
class SetDeadline:
    """Feed ``DeadlinePassed`` for this round when its time is up; replaces any earlier deadline."""

    round: int


@dataclass(frozen=True)
class Aggregate:
    """Aggregate what neighbours have said and fine-tune; answer with ``Aggregated``."""

    round: int
    heard: tuple[NeighbourMasks, ...]


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


Command = (
    Train
    | SendMask
    | SendSignMasks
    | OpenExchange
    | Resynchronize
    | ForgetPeers
    | SetDeadline
    | Aggregate
    | Save
    | Refuse
    | Finish
)
