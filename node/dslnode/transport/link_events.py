"""What happens to a node's links, as values: what the network reports to its one callback."""

from __future__ import annotations

from dataclasses import dataclass

from dslnode.protocol.membership import MembershipUpdate
from dslnode.protocol.messages import ExchangeState, IntervalRequest, MaskMessage, Unchanged
from dslnode.transport.handshake import NodeInfo


@dataclass(frozen=True)
class LinkUp:
    """A neighbour is connected; ``round`` is what it is in."""

    neighbour: NodeInfo
    round: int
    address: str


@dataclass(frozen=True)
class LinkDown:
    """A neighbour is no longer connected."""

    neighbour: NodeInfo
    why: str


@dataclass(frozen=True)
class MaskArrived:
    """A neighbour's mask arrived whole, or its word that this node has it already."""

    neighbour: NodeInfo
    message: MaskMessage | Unchanged


@dataclass(frozen=True)
class ExchangeStateArrived:
    """A neighbour said what it holds of this node's scores."""

    neighbour: NodeInfo
    greeting: ExchangeState


@dataclass(frozen=True)
class IntervalRequested:
    """A neighbour said how often it wants masks."""

    neighbour: NodeInfo
    pace: IntervalRequest


@dataclass(frozen=True)
class MembershipUpdateArrived:
    """A neighbour passed on what it knows of nodes of the network."""

    neighbour: NodeInfo
    tidings: MembershipUpdate


@dataclass(frozen=True)
class PeerRefused:
    """Somebody broke the protocol or does not match; the conversation was ended."""

    address: str
    reason: str
    explanation: str


@dataclass(frozen=True)
class DialFailed:
    """A peer could not be reached; it is dialled again later."""

    address: str
    why: str


LinkEvent = (
    LinkUp
    | LinkDown
    | MaskArrived
    | ExchangeStateArrived
    | IntervalRequested
    | MembershipUpdateArrived
    | PeerRefused
    | DialFailed
)
