"""The messages that two linked nodes exchange, as values: masks, acknowledgements, interval requests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from dslnode.protocol.mask import Mask


@dataclass(frozen=True)
class IntervalRequest:
    """Asks the receiver to send masks at most once per ``seconds`` and not to wait for the sender's.

    0 takes the request back: masks every round again, and each side waits for the other.
    """

    seconds: int


class MaskKind(IntEnum):
    """What a bit of a mask stands for. The numbers are those on the wire."""

    KEEP = 1  # one bit per weight: the sender keeps this frozen weight
    SIGN = 2  # one bit per score: the sender's score is at or above the replica that the receiver holds


class Exchange(StrEnum):
    """Which masks nodes send each other in a round."""

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


@dataclass(frozen=True, kw_only=True)
class ReplicaStep:
    """The numbers that turn a sign mask into one step of the receiver's replica of the sender's scores."""

    epoch: int  # of the pair of replicas; a reset, on either side, raises it
    sequence: int  # number of this step in the epoch, from 1
    acknowledged: int  # sequence of the receiver's last step that the sender has applied; 0 if none
    scales: tuple[float, ...]  # per layer: by how much each score moves, up or down; float32
    counts: tuple[
        int, ...
    ]  # per layer: weights that the sender keeps; with them its keep mask follows from the replica
    checksum: bytes  # of the replica after this step, 8 bytes


@dataclass(frozen=True)
class ExchangeState:
    """The state of a node's replica of the receiver's scores: epoch, last step applied, checksum of the replica.

    With ``opening`` it is the first message of a link. Without, it is an acknowledgement that no step carries.
    """

    epoch: int
    acknowledged: int  # sequence of the receiver's last step that the sender has applied; 0 if none
    checksum: bytes  # of the replica, 8 bytes
    opening: bool = True


@dataclass(frozen=True)
class Unchanged:
    """Stands for the masks of a round: those that the receiver holds are equal to them, or close enough.

    Where sign masks are exchanged it acknowledges as an ``ExchangeState`` does; elsewhere ``epoch`` is 0.
    """

    round: int
    epoch: int = 0
    acknowledged: int = 0


@dataclass(frozen=True)
class MaskMessage:
    """A mask for a neighbour. ``round`` is the sender's round that made it, in the sender's own counting.

    A sign mask has a ``step``, a keep mask has none.
    """

    round: int
    kind: MaskKind
    mask: Mask
    step: ReplicaStep | None = None


def step_of(sign_mask: MaskMessage) -> ReplicaStep:
    """Return the step of a sign mask. Decoders let no sign mask pass without one."""
    assert sign_mask.step is not None, "sign masks come with a step"
    return sign_mask.step


RoundMessage = MaskMessage | ExchangeState | Unchanged
"""A message that belongs to a round."""


Message = RoundMessage | IntervalRequest
"""Every message about masks that may follow the hellos."""
