"""What the round machine knows of one neighbour."""

from __future__ import annotations

from dataclasses import dataclass, field

from dslnode.protocol.mask import Mask
from dslnode.protocol.messages import MaskMessage, step_of


@dataclass
class PeerProgress:
    """One neighbour's link, its round compared with ours, and its masks. Only the round machine changes it."""

    connected: bool = False
    round_offset: int = 0  # its round minus ours, as of the last time it was on time
    last_round: int = -1  # the round of its newest mask, in its own counting
    newest_mask: Mask | None = None  # keep mask: as it arrived, or as it follows from the sign masks
    pending_signs: list[MaskMessage] = field(default_factory=list)  # sign masks not aggregated yet, in order of arrival
    arrived_in_round: int | None = None  # our round in which its newest mask of either kind arrived
    on_time: bool = True  # False from a missed deadline until its next mask
    uses_interval: bool = False  # its masks and ours travel at intervals of time, not every round
    round_unknown: bool = False  # it uses an interval, or did until its next mask, or we were paused

    @property
    def expected(self) -> bool:
        """Whether it sends a message in every round: it is connected, and its round is known."""
        return self.connected and not self.round_unknown

    def queue_sign_mask(self, sign_mask: MaskMessage, limit: int) -> bool:
        """Queue a sign mask for the next aggregation. Return False if ``limit`` of them wait already.

        A mask that is queued already is taken as a repetition: a broken link makes its sender send it again. Masks of
        earlier epochs are dropped, because a reset made them useless.
        """
        epoch = step_of(sign_mask).epoch
        self.pending_signs = [pending for pending in self.pending_signs if step_of(pending).epoch >= epoch]
        if sign_mask in self.pending_signs:
            return True
        if len(self.pending_signs) >= limit:
            return False
        self.pending_signs.append(sign_mask)
        return True
