"""What the round machine knows of one neighbour."""

from __future__ import annotations

from dataclasses import dataclass, field

from dslnode.protocol.mask import Mask
from dslnode.protocol.messages import MaskMessage, step_of


@dataclass
class PeerProgress:
    """A neighbour's link, its pace, and what it has said; changed by the round machine alone."""

    connected: bool = False
    offset: int = 0  # its round minus ours, as of the last time it was in pace
    last_round: int = -1  # of its newest mask, in its own counting
    newest: Mask | None = None  # keep mask: as it came, or as it followed from the sign masks
    signs: list[MaskMessage] = field(default_factory=list)  # not aggregated yet, in the order they came
    arrived: int | None = None  # our round in which the newest mask of either kind arrived
    in_pace: bool = True  # False after it missed a deadline, until it speaks again
    paced: bool = False  # its masks and ours travel at intervals, whatever the round
    adrift: bool = False  # paced, or was until its next mask: its round is not known

    @property
    def expected(self) -> bool:
        """Whether it speaks in every round: connected, neither paced nor resting."""
        return self.connected and not self.adrift

    def keep(self, sign_mask: MaskMessage, most: int) -> bool:
        """Let a sign mask wait for the next aggregation; return whether there was room for it.

        What waits already comes again when a link breaks, and what was said before an edge began anew is of no use.
        """
        epoch = step_of(sign_mask).epoch
        self.signs = [waiting for waiting in self.signs if step_of(waiting).epoch >= epoch]
        if sign_mask in self.signs:
            return True
        if len(self.signs) >= most:
            return False
        self.signs.append(sign_mask)
        return True
