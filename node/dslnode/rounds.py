"""The round machine: events in, commands out. No clock, no random source, no socket, no torch, no asyncio.

A round is: train, send the mask to every connected neighbour, wait until each that keeps pace has spoken or the
deadline passes, aggregate the newest masks, save, go on. The caller executes the commands in order and feeds back
what happens; the machine is the same under any order, loss or repetition of messages.

Nodes count their rounds on their own. When a link comes up both sides learn the other's round, and from then on
compare differences only: a node that joins late or restarts is waited for like any other, and nobody's lie about
a number moves anyone's count.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dslnode.events import (
    Aggregate,
    Aggregated,
    Command,
    DeadlinePassed,
    Event,
    Finish,
    HeldMask,
    PeerDown,
    PeerUp,
    Phase,
    Received,
    Refuse,
    Save,
    Send,
    SetDeadline,
    Started,
    Train,
    Trained,
)
from dslnode.mask import Mask, MaskKind, MaskMessage

MAX_JUMP = 1_000
"""Rounds by which a neighbour's masks may run ahead of where it was due; beyond that the mask is refused."""


@dataclass
class Neighbour:
    """What the machine knows of one neighbour."""

    connected: bool = False
    offset: int = 0  # its round minus ours, as of the last time it was in pace
    last_round: int = -1  # of its newest mask, in its own counting
    newest: Mask | None = None
    arrived: int = 0  # our round in which the newest mask arrived
    in_pace: bool = True  # False after it missed a deadline, until it speaks again


@dataclass
class RoundMachine:
    """One node's rounds. ``limit`` is the number of rounds to do in all, 0 for no end."""

    limit: int = 0
    max_staleness: int = 10
    kind: MaskKind = MaskKind.KEEP
    round: int = 0
    phase: Phase = Phase.STARTING
    neighbours: dict[str, Neighbour] = field(default_factory=dict)
    own: MaskMessage | None = None

    def handle(self, event: Event) -> list[Command]:  # noqa: PLR0911 (one case an event)
        """Take in one event and return what is to be done, in order."""
        match event:
            case Started():
                return self._begin_round()
            case Trained(mask):
                return self._exchange(mask)
            case Aggregated():
                return self._finish_round()
            case Received(peer, message):
                return self._receive(peer, message)
            case PeerUp(peer, their_round):
                return self._link_up(peer, their_round)
            case PeerDown(peer):
                return self._link_down(peer)
            case DeadlinePassed(deadline_round):
                return self._give_up_waiting(deadline_round)

    def staleness(self, neighbour: Neighbour) -> int:
        """Return how many of our rounds ago the neighbour's newest mask arrived."""
        return self.round - neighbour.arrived

    def awaited(self) -> list[str]:
        """Return the neighbours that the present round still waits for."""
        return [peer for peer, neighbour in self.neighbours.items() if self._is_awaited(neighbour)]

    def _begin_round(self) -> list[Command]:
        if self.limit and self.round >= self.limit:
            self.phase = Phase.FINISHED
            return [Finish()]
        self.phase = Phase.TRAINING
        return [Train(self.round)]

    def _exchange(self, mask: Mask) -> list[Command]:
        self.own = MaskMessage(self.round, self.kind, mask)
        self.phase = Phase.EXCHANGING
        connected = [peer for peer, neighbour in self.neighbours.items() if neighbour.connected]
        sends: list[Command] = [Send(peer, self.own) for peer in connected]
        return [*sends, SetDeadline(self.round), *self._close_if_complete()]

    def _close_if_complete(self) -> list[Command]:
        if self.phase is not Phase.EXCHANGING or self.awaited():
            return []
        self.phase = Phase.AGGREGATING
        return [Aggregate(self.round, self._fresh_masks())]

    def _fresh_masks(self) -> tuple[HeldMask, ...]:
        held = (
            HeldMask(peer, neighbour.newest, self.staleness(neighbour))
            for peer, neighbour in sorted(self.neighbours.items())
            if neighbour.newest is not None
        )
        return tuple(mask for mask in held if mask.staleness <= self.max_staleness)

    def _finish_round(self) -> list[Command]:
        self.round += 1
        self._forget_the_gone()
        return [Save(self.round), *self._begin_round()]

    def _forget_the_gone(self) -> None:
        """Drop neighbours that are neither connected nor of use, so that passers-by do not pile up."""
        for peer, neighbour in list(self.neighbours.items()):
            useful = neighbour.newest is not None and self.staleness(neighbour) <= self.max_staleness
            if not neighbour.connected and not useful:
                del self.neighbours[peer]

    def _receive(self, peer: str, message: MaskMessage) -> list[Command]:
        neighbour = self.neighbours.get(peer)
        if neighbour is None or not neighbour.connected or message.round <= neighbour.last_round:
            return []
        if message.kind is not self.kind:
            return [Refuse(peer, "mask_kind", f"sent a {message.kind.name} mask, this run exchanges {self.kind.name}")]
        lead = message.round - (self.round + neighbour.offset)
        if lead > MAX_JUMP:
            return [Refuse(peer, "far_future", f"sent a mask {lead} rounds ahead of where it was due")]
        fell_behind = lead < 0 and not neighbour.in_pace
        if fell_behind or lead > 1:  # or went on without us: count from here
            neighbour.offset += lead
        neighbour.last_round = message.round
        neighbour.newest = message.mask
        neighbour.arrived = self.round
        neighbour.in_pace = True
        return self._close_if_complete()

    def _link_up(self, peer: str, their_round: int) -> list[Command]:
        neighbour = self.neighbours.setdefault(peer, Neighbour())
        neighbour.connected = True
        neighbour.in_pace = True
        neighbour.offset = their_round - self.round
        neighbour.last_round = min(neighbour.last_round, their_round - 1)
        return [] if self.own is None else [Send(peer, self.own)]

    def _link_down(self, peer: str) -> list[Command]:
        if peer in self.neighbours:
            self.neighbours[peer].connected = False
        return self._close_if_complete()

    def _give_up_waiting(self, deadline_round: int) -> list[Command]:
        if deadline_round != self.round or self.phase is not Phase.EXCHANGING:
            return []
        for peer in self.awaited():
            self.neighbours[peer].in_pace = False
        return self._close_if_complete()

    def _is_awaited(self, neighbour: Neighbour) -> bool:
        spoken = neighbour.last_round >= self.round + neighbour.offset
        return neighbour.connected and neighbour.in_pace and not spoken
