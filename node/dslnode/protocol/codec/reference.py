"""What is known of the keep masks at both ends of an edge: the bases that masks are coded against. Pure decisions.

A link is one ordered stream, so whoever reads a mask has read all before it, and no acknowledgement is needed while
it lasts. When a link opens, the receiver says which base it holds, and the sender goes on from there if it still
remembers it; else from the mask that both started from, if they are equal; else from nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from dslnode.protocol.codec.delta import Reference, ReferenceChoice
from dslnode.protocol.mask import Mask

REMEMBERED = 4
"""Bases of one neighbour that are kept for when its link breaks: it lacks those under way then."""


@dataclass
class OutgoingReferences:
    """What a neighbour holds of this node's masks. ``start`` is the mask that this node started from.

    ``shared`` says that the neighbour started from the same one; ``certain`` that the base is known to be right and
    that a mask went over this link already.
    """

    start: Reference | None
    shared: bool = False
    certain: bool = False
    _sent: deque[Reference] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def resume(self, held: bytes) -> None:
        """Take in which base the neighbour holds: forget all others."""
        known = [base for base in self._sent if base.digest == held]
        self._sent = deque(known[-1:], REMEMBERED)

    def base(self) -> tuple[ReferenceChoice, Reference | None]:
        """Return what to code the next mask against."""
        if self._sent:
            return ReferenceChoice.LAST, self._sent[-1]
        return (ReferenceChoice.START, self.start) if self.shared else (ReferenceChoice.NONE, None)

    def sent(self, base: Reference) -> None:
        """Take in that a mask was sent, and what the neighbour holds after it."""
        self._sent.append(base)
        self.certain = True

    def is_near(self, mask: Mask, send_threshold: float) -> bool:
        """Return whether the neighbour has this mask, or lacks no more than a part of all that changed since the start.

        The first mask on a link is always sent: the neighbour may have forgotten what it was told on the last.
        """
        if not self.certain or not self._sent:
            return False
        learned = 0 if self.start is None else mask.distance(self.start.mask)
        return mask.distance(self._sent[-1].mask) <= send_threshold * learned

    def again(self, *, shared: bool) -> OutgoingReferences:
        """Return what a new link to the neighbour begins with; the old link may still go on for a moment."""
        return OutgoingReferences(self.start, shared, _sent=self._sent.copy())


@dataclass
class IncomingReference:
    """What this node holds of a neighbour's masks."""

    start: Reference | None
    shared: bool = False
    held: Reference | None = None

    def base(self, choice: ReferenceChoice) -> Reference | None:
        """Return the base that the sender chose. Raises ``ValueError`` if it is not here."""
        if choice is ReferenceChoice.NONE:
            return None
        if choice is ReferenceChoice.START and self.shared:
            return self.start
        if choice is ReferenceChoice.LAST and self.held is not None:
            return self.held
        raise ValueError("coded against a mask that this node does not hold")

    def again(self, *, shared: bool) -> IncomingReference:
        """Return what a new link to the neighbour begins with."""
        return IncomingReference(self.start, shared, self.held)


@dataclass(frozen=True)
class MaskReferences:
    """Both directions of one edge."""

    outgoing: OutgoingReferences
    incoming: IncomingReference

    @classmethod
    def of(cls, start: Reference | None) -> MaskReferences:
        """Return those of a neighbour that was never met; ``start`` is the same one for all of them."""
        return cls(OutgoingReferences(start), IncomingReference(start))

    def again(self, *, shared: bool) -> MaskReferences:
        """Return what a new link to the neighbour begins with."""
        return MaskReferences(self.outgoing.again(shared=shared), self.incoming.again(shared=shared))
