"""The references that keep masks are coded against, per neighbour and direction. Pure decisions.

A link is one ordered stream: whoever reads a mask has read all masks before it. So no acknowledgement is needed while
the link lasts. When a link opens, the receiver sends the digest of the reference that it holds. The sender goes on
from there if it still has that reference; otherwise from the mask that both nodes started from, if that is equal;
otherwise from nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from dslnode.protocol.codec.delta import Reference, ReferenceChoice
from dslnode.protocol.mask import Mask

REMEMBERED = 4
"""References per neighbour that a sender keeps: when a link breaks, the receiver lacks the masks that were on it."""


@dataclass
class OutgoingReferences:
    """What a neighbour holds of this node's keep masks."""

    start: Reference | None  # the mask that this node started from
    same_start: bool = False  # the neighbour started from the same mask
    sent_on_link: bool = False  # a mask was sent on this link
    _sent: deque[Reference] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def resume(self, digest: bytes) -> None:
        """Keep only the reference with the digest that the neighbour sent; none if the digest is unknown."""
        matching = [reference for reference in self._sent if reference.digest == digest]
        self._sent = deque(matching[-1:], REMEMBERED)

    def choose(self) -> tuple[ReferenceChoice, Reference | None]:
        """Return the reference to code the next mask against."""
        if self._sent:
            return ReferenceChoice.LAST, self._sent[-1]
        return (ReferenceChoice.START, self.start) if self.same_start else (ReferenceChoice.NONE, None)

    def mask_sent(self, reference: Reference) -> None:
        """Note that a mask was sent. ``reference`` is what the neighbour holds after it."""
        self._sent.append(reference)
        self.sent_on_link = True

    def is_close(self, mask: Mask, send_threshold: float) -> bool:
        """Return whether the neighbour need not be sent this mask.

        So it is where the mask differs from the last one sent in at most ``send_threshold`` of the bits that changed
        since the start. The first mask on a link is always sent: the neighbour may have restarted.
        """
        if not self.sent_on_link or not self._sent:
            return False
        changed = 0 if self.start is None else mask.distance(self.start.mask)
        return mask.distance(self._sent[-1].mask) <= send_threshold * changed

    def for_new_link(self, *, same_start: bool) -> OutgoingReferences:
        """Return a copy for a new link to the neighbour. The old link may go on for a moment."""
        return OutgoingReferences(self.start, same_start, _sent=self._sent.copy())


@dataclass
class IncomingReference:
    """What this node holds of a neighbour's keep masks."""

    start: Reference | None  # the mask that this node started from
    same_start: bool = False  # the neighbour started from the same mask
    last: Reference | None = None  # after the last mask that arrived, over this link or an earlier one

    def resolve(self, choice: ReferenceChoice) -> Reference | None:
        """Return the reference that the sender chose. Raises ``ValueError`` if this node does not hold it."""
        if choice is ReferenceChoice.NONE:
            return None
        if choice is ReferenceChoice.START and self.same_start:
            return self.start
        if choice is ReferenceChoice.LAST and self.last is not None:
            return self.last
        raise ValueError("coded against a mask that this node does not hold")

    def for_new_link(self, *, same_start: bool) -> IncomingReference:
        """Return a copy for a new link to the neighbour."""
        return IncomingReference(self.start, same_start, self.last)


@dataclass(frozen=True)
class MaskReferences:
    """The references of both directions between this node and one neighbour."""

    outgoing: OutgoingReferences
    incoming: IncomingReference

    @classmethod
    def from_start(cls, start: Reference | None) -> MaskReferences:
        """Return those of a neighbour that is new to this node, which started from ``start``."""
        return cls(OutgoingReferences(start), IncomingReference(start))

    def for_new_link(self, *, same_start: bool) -> MaskReferences:
        """Return a copy for a new link to the neighbour."""
        return MaskReferences(
            self.outgoing.for_new_link(same_start=same_start), self.incoming.for_new_link(same_start=same_start)
        )
