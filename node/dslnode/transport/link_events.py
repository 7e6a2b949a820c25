"""What happens to a node's links, as values: what the network reports to its one callback."""

from __future__ import annotations

from dataclasses import dataclass

from dslnode.protocol.membership import Tidings
from dslnode.protocol.messages import Greeting, MaskMessage, Pace, Unchanged
from dslnode.transport.handshake import Introduction


@dataclass(frozen=True)
class LinkUp:
    """A neighbour is connected; ``round`` is what it is in."""

    neighbour: Introduction
    round: int
    address: str


@dataclass(frozen=True)
class LinkDown:
    """A neighbour is no longer connected."""

    neighbour: Introduction
    why: str


@dataclass(frozen=True)
class MaskArrived:
    """A neighbour's mask arrived whole, or its word that this node has it already."""

    neighbour: Introduction
    message: MaskMessage | Unchanged


@dataclass(frozen=True)
class GreetingArrived:
    """A neighbour said what it holds of this node's scores."""

    neighbour: Introduction
    greeting: Greeting


@dataclass(frozen=True)
class PaceAsked:
    """A neighbour said how often it wants masks."""

    neighbour: Introduction
    pace: Pace


@dataclass(frozen=True)
class MembersTold:
    """A neighbour passed on what it knows of nodes of the network."""

    neighbour: Introduction
    tidings: Tidings


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


Report = LinkUp | LinkDown | MaskArrived | GreetingArrived | PaceAsked | MembersTold | PeerRefused | DialFailed
