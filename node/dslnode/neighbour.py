"""What the round machine knows of one neighbour."""

from __future__ import annotations

from dataclasses import dataclass, field

from dslnode.mask import Mask, MaskMessage


@dataclass
class Neighbour:
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
