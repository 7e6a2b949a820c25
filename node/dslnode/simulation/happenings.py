"""What can happen in a simulated network, as values.

A ``life`` counts the starts of a node: what was planned in an earlier one is void.
"""

from __future__ import annotations

from dataclasses import dataclass

from dslnode.protocol import events
from dslnode.protocol.codec.delta import Reference
from dslnode.simulation.framing import Framed
from dslnode.transport.frame_codec import LinkMessage


@dataclass(frozen=True)
class WorkDone:
    """A node's processor has done what a command asked for."""

    node: int
    life: int
    command: events.Command


@dataclass(frozen=True)
class DeadlineOver:
    """A node has waited for its neighbours as long as it wants to."""

    node: int
    life: int
    round: int


@dataclass(frozen=True)
class LineFree:
    """A node's line has carried its message, and can take the next one."""

    node: int
    life: int


LinkNumber = tuple[int, int]
"""Tells a link from all others between two nodes: the lives of both ends, that of the lower node first."""


@dataclass(frozen=True)
class MessageArrives:
    """A message reaches the other end of the link with this number, if that is still open.

    ``reference`` is what the receiver holds of the sender's keep masks then.
    """

    sender: int
    receiver: int
    link: LinkNumber
    message: LinkMessage
    framed: Framed
    wire_bytes: int
    reference: Reference | None


@dataclass(frozen=True, kw_only=True)
class HelloArrives:
    """A node that dialled, or was dialled, introduces itself at the end of a handshake.

    ``held`` is the digest of what it holds of the receiver's keep masks, ``start`` that of the mask that it started
    from; both empty where no keep masks travel. ``answers`` is the life of the dialling node that is answered.
    """

    sender: int
    receiver: int
    life: int
    round: int
    held: bytes
    start: bytes
    answers: int | None = None


@dataclass(frozen=True)
class LinkCloses:
    """A node hears that the other end of a link is gone."""

    node: int
    peer: int
    link: LinkNumber


@dataclass(frozen=True)
class StartsAnyway:
    """A node has waited for its links as long as it may before its first round."""

    node: int
    life: int


@dataclass(frozen=True)
class NodeReturns:
    """A node that was away starts again from its saved state."""

    node: int


Happening = WorkDone | DeadlineOver | LineFree | MessageArrives | HelloArrives | LinkCloses | StartsAnyway | NodeReturns
