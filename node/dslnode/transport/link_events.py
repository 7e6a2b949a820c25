"""What happens to a node's links, as values: the connection manager reports them to its one callback."""

from __future__ import annotations

from dataclasses import dataclass

from dslnode.protocol.membership import MembershipUpdate
from dslnode.protocol.messages import ExchangeState, IntervalRequest, MaskMessage, Unchanged
from dslnode.transport.handshake import NodeInfo


@dataclass(frozen=True)
class LinkUp:
    """A link to a neighbour is open. ``round`` is the neighbour's own, ``address`` where it can be dialled."""

    neighbour: NodeInfo
    round: int
    address: str


@dataclass(frozen=True)
class LinkDown:
    """The link to a neighbour ended. ``explanation`` says why, for people."""

    neighbour: NodeInfo
    explanation: str


@dataclass(frozen=True)
class MaskArrived:
    """A neighbour's mask arrived whole, or the message that it is unchanged."""

    neighbour: NodeInfo
    message: MaskMessage | Unchanged


@dataclass(frozen=True)
class ExchangeStateArrived:
    """A neighbour sent the state of its replica of this node's scores."""

    neighbour: NodeInfo
    state: ExchangeState


@dataclass(frozen=True)
class IntervalRequested:
    """A neighbour asked for masks at an interval."""

    neighbour: NodeInfo
    request: IntervalRequest


@dataclass(frozen=True)
class MembershipUpdateArrived:
    """A neighbour passed on member records."""

    neighbour: NodeInfo
    update: MembershipUpdate


@dataclass(frozen=True)
class PeerRefused:
    """The conversation with a peer ended because it broke a rule or does not match. ``reason`` is a short label."""

    address: str
    reason: str
    explanation: str


@dataclass(frozen=True)
class DialFailed:
    """A peer could not be reached; it is dialled again later. ``explanation`` says why, for people."""

    address: str
    explanation: str


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
