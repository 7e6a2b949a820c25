"""Events that the round machine takes in, and commands that it returns, as values."""

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
    """Local training of the round is done and gave this keep mask."""

    mask: Mask
    skipped: frozenset[str] = frozenset()  # neighbours that are sent nothing this round
    using_interval: frozenset[str] = frozenset()  # neighbours that exchange at intervals: none of them is waited for


@dataclass(frozen=True)
class Aggregated:
    """Aggregation and fine-tuning of the round are done. ``masks`` are the aggregated keep masks, by neighbour."""

    masks: Mapping[str, Mask] = field(default_factory=dict)


@dataclass(frozen=True)
class Received:
    """A connected neighbour's mask arrived, or its message that nothing changed."""

    peer: str
    message: MaskMessage | Unchanged


@dataclass(frozen=True)
class ExchangeStateReceived:
    """A connected neighbour sent the state of its replica of our scores."""

    peer: str
    state: ExchangeState


@dataclass(frozen=True)
class PeerUp:
    """A link to a neighbour came up, or a newer link replaced it. ``round`` is the neighbour's own."""

    peer: str
    round: int


@dataclass(frozen=True)
class PeerDown:
    """The link to a neighbour ended."""

    peer: str


@dataclass(frozen=True)
class DeadlinePassed:
    """The deadline of this round passed."""

    round: int


@dataclass(frozen=True)
class TrainingPaused:
    """The node may not train now; with ``resumed`` it may again. Neighbours go on meanwhile."""

    resumed: bool = False


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
    """The masks of one neighbour that an aggregation takes in."""

    peer: str
    mask: Mask | None  # its newest keep mask; None where keep masks do not travel
    signs: tuple[MaskMessage, ...]  # its sign masks since the last aggregation, in order
    staleness: int  # of this node's rounds since the newest of them arrived


@dataclass(frozen=True)
class Train:
    """Run the local training of this round; answer with ``Trained``."""

    round: int


@dataclass(frozen=True)
class SendMask:
    """Send a keep mask to this neighbour. It may replace an older one that still waits to be sent."""

    peer: str
    message: MaskMessage


@dataclass(frozen=True)
class SendSignMasks:
    """Make a sign mask for each of these neighbours and send it, followed by the keep mask if there is one."""

    round: int
    peers: tuple[str, ...]
    keep_mask: MaskMessage | None


@dataclass(frozen=True)
class OpenExchange:
    """Send this neighbour the state of our replica of its scores."""

    peer: str


@dataclass(frozen=True)
class Resynchronize:
    """Compare our scores' replica with the state that this neighbour sent, and send again the steps that it lost."""

    peer: str
    state: ExchangeState


@dataclass(frozen=True)
class ForgetPeers:
    """Drop the replicas of these neighbours: they are disconnected and their masks are too old."""

    peers: tuple[str, ...]


@dataclass(frozen=True)
class SetDeadline:
    """Start the timer of this round and feed ``DeadlinePassed`` when it ends. Replaces any earlier deadline."""

    round: int


@dataclass(frozen=True)
class Aggregate:
    """Aggregate these neighbours' masks and fine-tune; answer with ``Aggregated``."""

    round: int
    neighbours: tuple[NeighbourMasks, ...]


@dataclass(frozen=True)
class Save:
    """The round is finished: write the state. ``round`` is the one to begin with after a restart."""

    round: int


@dataclass(frozen=True)
class Refuse:
    """A neighbour's message broke a rule and was dropped: count and log it. ``reason`` is a short label."""

    peer: str
    reason: str
    explanation: str


@dataclass(frozen=True)
class Finish:
    """The last round is done."""


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
