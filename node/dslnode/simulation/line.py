"""The line of a simulated node: its messages wait in order, and one after the other is coded and sent."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from dslnode.protocol.codec.delta import Reference
from dslnode.protocol.codec.reference import MaskReferences
from dslnode.protocol.messages import MaskKind, MaskMessage
from dslnode.simulation.happenings import LinkNumber
from dslnode.transport.encode_cache import EncodeCache
from dslnode.transport.frame_codec import FrameEncoder, LinkMessage, LinkParameters


@dataclass(frozen=True)
class NamedNode:
    """The other end of a link, as the ledger names it."""

    name: str


@dataclass
class LinkEnd:
    """One end of an open link: how it codes, and when what was sent last arrives, in seconds of virtual time."""

    neighbour: NamedNode
    number: LinkNumber
    encoder: FrameEncoder
    references: MaskReferences
    last_arrival: float = 0.0

    @classmethod
    def open(
        cls,
        neighbour: str,
        number: LinkNumber,
        known: MaskReferences,
        cache: EncodeCache,
        parameters: LinkParameters,
        *,
        same_start: bool = False,
        held: bytes = b"",
    ) -> LinkEnd:
        """Return the end of a new link. ``held`` is the digest of what the neighbour holds of our keep masks."""
        references = known.for_new_link(same_start=same_start)
        references.outgoing.resume(held)
        return cls(NamedNode(neighbour), number, FrameEncoder(references, cache, parameters), references)

    def sent_reference(self, message: LinkMessage) -> Reference | None:
        """Return what the neighbour holds once it has this message, which was just coded; None if no keep mask."""
        return self.references.outgoing.choose()[1] if is_keep_mask(message) else None


@dataclass
class Line:
    """Messages that wait to be sent, by neighbour. ``busy`` while one is being sent."""

    waiting: deque[tuple[str, LinkMessage]] = field(default_factory=deque)
    busy: bool = False

    def queue(self, peer: str, message: LinkMessage) -> None:
        """Queue a message; a keep mask replaces one that still waits for the same neighbour."""
        if is_keep_mask(message):
            self.waiting = deque((to, other) for to, other in self.waiting if to != peer or not is_keep_mask(other))
        self.waiting.append((peer, message))

    def drop(self, peer: str) -> None:
        """Drop what waits for a neighbour whose link ended."""
        self.waiting = deque((to, message) for to, message in self.waiting if to != peer)


def is_keep_mask(message: LinkMessage) -> bool:
    """Return whether a message is a keep mask."""
    return isinstance(message, MaskMessage) and message.kind is MaskKind.KEEP
