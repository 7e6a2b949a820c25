"""The round machine: events in, commands out. No clock, no random source, no socket, no torch, no asyncio.

A round is: train, send masks to the connected neighbours, wait for the masks of those that are on time or for the
deadline, aggregate, save. The caller executes the commands in order and feeds back what happens. Messages may arrive
in any order, be lost or be repeated.

Each node counts its own rounds. When a link comes up each side learns the other's round, and from then on only the
difference counts. So a node that joins late or restarts is waited for like any other, and no false round number moves
another node's count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dslnode.protocol.events import (
    Aggregate,
    Aggregated,
    Command,
    DeadlinePassed,
    Event,
    ExchangeStateReceived,
    Finish,
    ForgetPeers,
    NeighbourMasks,
    OpenExchange,
    PeerDown,
    PeerUp,
    Phase,
    Received,
    Refuse,
    Resynchronize,
    Save,
    SendMask,
    SendSignMasks,
    SetDeadline,
    Started,
    Train,
    Trained,
    TrainingPaused,
)
from dslnode.protocol.mask import Mask
from dslnode.protocol.messages import Exchange, ExchangeState, MaskKind, MaskMessage, Unchanged
from dslnode.protocol.peer_progress import PeerProgress

MAX_ROUND_LEAD = 1_000
"""Rounds by which a neighbour's mask may be ahead of the one that was due. Further ahead, it is refused."""
MAX_PENDING_SIGNS = 8
"""Sign masks of one neighbour that may wait for the next aggregation. Honest nodes have at most four on their way."""


@dataclass
class RoundMachine:
    """The rounds of one node. ``limit`` is their number; 0 for no end.

    A neighbour that is silent for more than ``max_lead`` rounds is waited for again; 0 for never.
    """

    limit: int = 0
    max_staleness: int = 10
    exchange: Exchange = Exchange.KEEP
    max_lead: int = 0
    round: int = 0
    phase: Phase = Phase.STARTING
    neighbours: dict[str, PeerProgress] = field(default_factory=dict)
    own_mask: MaskMessage | None = None  # keep mask of the last round that was trained
    timed_out_round: int = -1  # the last round that its deadline closed

    def handle(self, event: Event) -> list[Command]:  # noqa: PLR0911 (one case per event)
        """Take in one event and return what is to be done, in order."""
        match event:
            case Started():
                return self._begin_round()
            case Trained(mask, skipped, using_interval):
                return self._begin_exchange(mask, skipped, using_interval)
            case Aggregated(masks):
                return self._finish_round(masks)
            case Received(peer, message):
                return self._receive(peer, message)
            case ExchangeStateReceived(peer, state):
                return self._resynchronize(peer, state)
            case PeerUp(peer, their_round):
                return self._link_up(peer, their_round)
            case PeerDown(peer):
                return self._link_down(peer)
            case DeadlinePassed(deadline_round):
                return self._close_at_deadline(deadline_round)
            case TrainingPaused(resumed):
                return self._pause_training(resumed=resumed)

    def staleness(self, neighbour: PeerProgress) -> int:
        """Return how many of our rounds ago the neighbour's newest mask arrived; all rounds if none ever did."""
        return self.round if neighbour.arrived_in_round is None else self.round - neighbour.arrived_in_round

    def awaited(self) -> list[str]:
        """Return the neighbours that the present round still waits for."""
        return [peer for peer, neighbour in self.neighbours.items() if self._is_awaited(neighbour)]

    def expected(self) -> list[str]:
        """Return the neighbours that send a message in every round."""
        return [peer for peer, neighbour in self.neighbours.items() if neighbour.expected]

    def leads_too_far(self) -> bool:
        """Return whether this node is more than ``max_lead`` rounds ahead of an expected neighbour."""
        return any(self._is_far_behind(neighbour) for neighbour in self.neighbours.values() if neighbour.expected)

    def _begin_round(self) -> list[Command]:
        if self.limit and self.round >= self.limit:
            self.phase = Phase.FINISHED
            return [Finish()]
        self.phase = Phase.TRAINING
        return [Train(self.round)]

    def _pause_training(self, *, resumed: bool) -> list[Command]:
        """Wait to be allowed to train. Neighbours go on meanwhile: their rounds are unknown until their next mask."""
        self.phase = Phase.TRAINING if resumed else Phase.WAITING
        for neighbour in self.neighbours.values():
            neighbour.round_unknown = True
        return []

    def _begin_exchange(self, mask: Mask, skipped: frozenset[str], using_interval: frozenset[str]) -> list[Command]:
        self.own_mask = MaskMessage(self.round, MaskKind.KEEP, mask)
        self.phase = Phase.EXCHANGING
        for peer, neighbour in self.neighbours.items():
            neighbour.uses_interval = peer in using_interval
            neighbour.round_unknown = neighbour.round_unknown or neighbour.uses_interval
        receivers = tuple(
            peer for peer, neighbour in self.neighbours.items() if neighbour.connected and peer not in skipped
        )
        return [*self._send_masks(self.own_mask, receivers), SetDeadline(self.round), *self._close_if_complete()]

    def _send_masks(self, own_mask: MaskMessage, peers: tuple[str, ...]) -> list[Command]:
        kinds = self.exchange.kinds
        if MaskKind.SIGN not in kinds:
            return [SendMask(peer, own_mask) for peer in peers]
        return [SendSignMasks(own_mask.round, peers, own_mask if MaskKind.KEEP in kinds else None)] if peers else []

    def _close_if_complete(self) -> list[Command]:
        if self.phase is not Phase.EXCHANGING or self.awaited():
            return []
        self.phase = Phase.AGGREGATING
        neighbours = tuple(
            self._take_masks(peer, neighbour)
            for peer, neighbour in sorted(self.neighbours.items())
            if self._is_fresh(neighbour)
        )
        return [Aggregate(self.round, neighbours)]

    def _take_masks(self, peer: str, neighbour: PeerProgress) -> NeighbourMasks:
        signs, neighbour.pending_signs = tuple(neighbour.pending_signs), []
        keep_mask = neighbour.newest_mask if MaskKind.KEEP in self.exchange.kinds else None
        return NeighbourMasks(peer, keep_mask, signs, self.staleness(neighbour))

    def _is_fresh(self, neighbour: PeerProgress) -> bool:
        """Return whether the neighbour's newest mask may still be aggregated."""
        return neighbour.arrived_in_round is not None and self.staleness(neighbour) <= self.max_staleness

    def _finish_round(self, masks: Mapping[str, Mask]) -> list[Command]:
        self.round += 1
        if MaskKind.KEEP not in self.exchange.kinds:  # otherwise newer ones may have arrived meanwhile
            for peer in masks.keys() & self.neighbours.keys():
                self.neighbours[peer].newest_mask = masks[peer]
        return [*self._forget_departed(), Save(self.round), *self._begin_round()]

    def _forget_departed(self) -> list[Command]:
        """Drop neighbours that are disconnected and have no fresh mask, so that memory stays bounded."""
        departed = [
            peer
            for peer, neighbour in self.neighbours.items()
            if not neighbour.connected and not self._is_fresh(neighbour)
        ]
        for peer in departed:
            del self.neighbours[peer]
        return [ForgetPeers(tuple(departed))] if departed and MaskKind.SIGN in self.exchange.kinds else []

    def _receive(self, peer: str, message: MaskMessage | Unchanged) -> list[Command]:
        neighbour = self.neighbours.get(peer)
        if neighbour is None or not neighbour.connected:
            return []
        if isinstance(message, MaskMessage) and message.kind not in self.exchange.kinds:
            explanation = f"sent a {message.kind.name} mask, this run exchanges {self.exchange.value}"
            return [Refuse(peer, "mask_kind", explanation)]
        lead = message.round - (self.round + neighbour.round_offset)
        if lead > MAX_ROUND_LEAD and not neighbour.round_unknown:
            return [Refuse(peer, "far_future", f"sent a mask {lead} rounds ahead of where it was due")]
        if isinstance(message, Unchanged):
            return self._receive_unchanged(peer, neighbour, message, lead)
        if message.kind is MaskKind.SIGN:
            if not neighbour.queue_sign_mask(message, MAX_PENDING_SIGNS):
                return [Refuse(peer, "too_many", f"sent {MAX_PENDING_SIGNS} sign masks without waiting for an answer")]
            neighbour.arrived_in_round = self.round
        is_last = message.kind is MaskKind.KEEP or self.exchange is Exchange.SIGN
        return self._complete_neighbour(neighbour, message, lead) if is_last else []

    def _receive_unchanged(self, peer: str, neighbour: PeerProgress, message: Unchanged, lead: int) -> list[Command]:
        """Take the message for the masks that it stands for. In place of a sign mask it is an acknowledgement, too."""
        replaces_sign_mask = bool(message.epoch) and MaskKind.SIGN in self.exchange.kinds
        commands: list[Command] = []
        if replaces_sign_mask:
            state = ExchangeState(message.epoch, message.acknowledged, b"", opening=False)
            commands.append(Resynchronize(peer, state))
        if not replaces_sign_mask or self.exchange is Exchange.SIGN:  # with both, the keep mask is still to come
            commands += self._complete_neighbour(neighbour, message, lead)
        return commands

    def _complete_neighbour(
        self, neighbour: PeerProgress, message: MaskMessage | Unchanged, lead: int
    ) -> list[Command]:
        """Take in a neighbour's last message of a round. It may close ours."""
        if message.round <= neighbour.last_round:
            return []
        fell_behind = lead < 0 and not neighbour.on_time
        if fell_behind or lead > 1 or neighbour.round_unknown:  # lead > 1: it went on without us
            neighbour.round_offset += lead
        neighbour.round_unknown = neighbour.uses_interval
        neighbour.last_round = message.round
        if isinstance(message, MaskMessage) and message.kind is MaskKind.KEEP:
            neighbour.newest_mask = message.mask
        neighbour.arrived_in_round = self.round
        neighbour.on_time = True
        return self._close_if_complete()

    def _link_up(self, peer: str, their_round: int) -> list[Command]:
        neighbour = self.neighbours.setdefault(peer, PeerProgress())
        neighbour.connected = True
        neighbour.on_time = True
        neighbour.round_offset = their_round - self.round
        neighbour.last_round = min(neighbour.last_round, their_round - 1)
        if MaskKind.SIGN in self.exchange.kinds:
            return [OpenExchange(peer)]
        return [] if self.own_mask is None or neighbour.uses_interval else [SendMask(peer, self.own_mask)]

    def _resynchronize(self, peer: str, state: ExchangeState) -> list[Command]:
        """Have lost steps sent again; and this round's masks, if the link opened after they were sent."""
        if peer not in self.neighbours or MaskKind.SIGN not in self.exchange.kinds:
            return []
        own_mask = self.own_mask
        missed_round = state.opening and own_mask is not None and own_mask.round == self.round
        missed_round = missed_round and not self.neighbours[peer].uses_interval
        masks = self._send_masks(own_mask, (peer,)) if missed_round and own_mask is not None else []
        return [Resynchronize(peer, state), *masks]

    def _link_down(self, peer: str) -> list[Command]:
        if peer in self.neighbours:
            self.neighbours[peer].connected = False
        return self._close_if_complete()

    def _close_at_deadline(self, deadline_round: int) -> list[Command]:
        if deadline_round != self.round or self.phase is not Phase.EXCHANGING:
            return []
        for peer in self.awaited():
            self.neighbours[peer].on_time = False
        self.timed_out_round = self.round
        return self._close_if_complete()

    def _is_awaited(self, neighbour: PeerProgress) -> bool:
        complete = neighbour.last_round >= self.round + neighbour.round_offset
        due = neighbour.on_time or (self._is_far_behind(neighbour) and self.timed_out_round != self.round)
        return neighbour.expected and due and not complete

    def _is_far_behind(self, neighbour: PeerProgress) -> bool:
        return 0 < self.max_lead < self.staleness(neighbour) and neighbour.arrived_in_round is not None
