"""What nodes say to each other about masks and scores, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from dslnode.protocol.mask import Mask


@dataclass(frozen=True)
class IntervalRequest:
    """A node wants masks at most once in so many seconds, and nobody to wait for its own; 0: neither."""

    seconds: int


class MaskKind(IntEnum):
    """What the bits of a travelling mask say; the numbers are those of the wire."""

    KEEP = 1  # which frozen weights the sender keeps
    SIGN = 2  # which of the sender's scores lie above what is publicly known of them


class Exchange(StrEnum):
    """What nodes send each other in a round."""

    KEEP = "keep"  # keep masks, as in the paper
    SIGN = "sign"  # sign masks, from which neighbours' scores and keep masks follow
    BOTH = "both"

    @property
    def kinds(self) -> frozenset[MaskKind]:
        """The kinds of mask that travel."""
        return KINDS[self]


KINDS = {
    Exchange.KEEP: frozenset({MaskKind.KEEP}),
    Exchange.SIGN: frozenset({MaskKind.SIGN}),
    Exchange.BOTH: frozenset(MaskKind),
}


@dataclass(frozen=True)
class ReplicaStep:
    """What turns a sign mask into a step of the sender's public replica, see ``consensus``.

    ``counts`` are the sender's keep counts a layer: with them a replica tells its keep mask.
    """

    epoch: int  # of the edge between the two nodes: both begin anew with a higher one
    sequence: int  # of this step in the epoch, from 1
    acknowledged: int  # the receiver's step that the sender has applied last
    scales: tuple[float, ...]  # by how much every score of a layer moves, up or down; float32
    counts: tuple[int, ...]
    checksum: bytes  # of the replica after this step


@dataclass(frozen=True)
class ExchangeState:
    """What a node holds of a neighbour's scores: the edge's epoch, the last step applied, the replica's checksum.

    The first word when a link opens; later an acknowledgement, if there was no step to carry it.
    """

    epoch: int
    held: int
    checksum: bytes
    opening: bool = True


@dataclass(frozen=True)
class Unchanged:
    """A node's word for a round in which its masks are as the neighbour holds them, or near enough.

    Where sign masks are exchanged, it acknowledges as a ``ExchangeState`` does; else ``epoch`` is 0.
    """

    round: int
    epoch: int = 0
    held: int = 0


@dataclass(frozen=True)
class MaskMessage:
    """A mask on its way to a neighbour, with the sender's round (its own counting) that made it.

    A sign mask has a ``step``, a keep mask has none.
    """

    round: int
    kind: MaskKind
    mask: Mask
    step: ReplicaStep | None = None


def step_of(sign_mask: MaskMessage) -> ReplicaStep:
    """Return a sign mask's step; the codec takes none without it."""
    assert sign_mask.step is not None, "sign masks come with a step"
    return sign_mask.step


RoundMessage = MaskMessage | ExchangeState | Unchanged
"""What nodes say to each other in their turn of a round."""


Message = RoundMessage | IntervalRequest
"""All that nodes say to each other after their hellos."""
