"""The round machine: events in, commands out. No clock, no random source, no socket, no torch, no asyncio.

A round is: train, send the mask to every connected neighbour, wait until each that keeps pace has spoken or the
deadline passes, aggregate the newest masks, save, go on. The caller executes the commands in order and feeds back
what happens; the machine is the same under any order, loss or repetition of messages.

Nodes count their rounds on their own. When a link comes up both sides learn the other's round, and from then on
compare differences only: a node that joins late or restarts is waited for like any other, and nobody's lie about
a number moves anyone's count.
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
"""Rounds by which a neighbour's masks may run ahead of where it was due; beyond that the mask is refused."""
MAX_PENDING_SIGNS = 8
"""Sign masks of one neighbour that may wait for the next aggregation; an honest one never has so many under way."""


@dataclass
class RoundMachine:
    """One node's rounds: ``limit`` in all, or no end. Who is silent for over ``max_lead`` of them is waited for."""

    limit: int = 0
    max_staleness: int = 10
    exchange: Exchange = Exchange.KEEP
    max_lead: int = 0
    round: int = 0
    phase: Phase = Phase.STARTING
    neighbours: dict[str, PeerProgress] = field(default_factory=dict)
    own: MaskMessage | None = None
    gave_up: int = -1  # the round that last closed by its deadline

    def handle(self, event: Event) -> list[Command]:  # noqa: PLR0911 (one case an event)
        """Take in one event and return what is to be done, in order."""
        match event:
            case Started():
                return self._begin_round()
            case Trained(mask, skipped, paced):
                return self._exchange(mask, skipped, paced)
            case Aggregated(masks):
                return self._finish_round(masks)
            case Received(peer, message):
                return self._receive(peer, message)
            case ExchangeStateReceived(peer, greeting):
                return self._meet(peer, greeting)
            case PeerUp(peer, their_round):
                return self._link_up(peer, their_round)
            case PeerDown(peer):
                return self._link_down(peer)
            case DeadlinePassed(deadline_round):
                return self._give_up_waiting(deadline_round)
            case TrainingPaused(over):
                return self._rest(over=over)

    def staleness(self, neighbour: PeerProgress) -> int:
        """Return how many of our rounds ago the neighbour's newest mask arrived; of all rounds if none ever did."""
        return self.round - neighbour.arrived if neighbour.arrived is not None else self.round

    def awaited(self) -> list[str]:
        """Return the neighbours that the present round still waits for."""
        return [peer for peer, neighbour in self.neighbours.items() if self._is_awaited(neighbour)]

    def expected(self) -> list[str]:
        """Return the neighbours that speak in every round."""
        return [peer for peer, neighbour in self.neighbours.items() if neighbour.expected]

    def leads_too_far(self) -> bool:
        """Return whether this node has run ahead of a connected neighbour by more than it may."""
        return any(self._is_far_behind(one) for one in self.neighbours.values() if one.expected)

    def _begin_round(self) -> list[Command]:
        if self.limit and self.round >= self.limit:
            self.phase = Phase.FINISHED
            return [Finish()]
        self.phase = Phase.TRAINING
        return [Train(self.round)]

    def _rest(self, *, over: bool) -> list[Command]:
        """Hold this round's training back; where neighbours are when it goes on is not known."""
        self.phase = Phase.TRAINING if over else Phase.WAITING
        for neighbour in self.neighbours.values():
            neighbour.adrift = True
        return []

    def _exchange(self, mask: Mask, skipped: frozenset[str], paced: frozenset[str]) -> list[Command]:
        self.own = MaskMessage(self.round, MaskKind.KEEP, mask)
        self.phase = Phase.EXCHANGING
        for peer, neighbour in self.neighbours.items():
            neighbour.paced = peer in paced
            neighbour.adrift = neighbour.adrift or neighbour.paced
        chosen = tuple(peer for peer, one in self.neighbours.items() if one.connected and peer not in skipped)
        return [*self._share(self.own, chosen), SetDeadline(self.round), *self._close_if_complete()]

    def _share(self, own: MaskMessage, peers: tuple[str, ...]) -> list[Command]:
        kinds = self.exchange.kinds
        if MaskKind.SIGN not in kinds:
            return [SendMask(peer, own) for peer in peers]
        return [SendSignMasks(own.round, peers, own if MaskKind.KEEP in kinds else None)] if peers else []

    def _close_if_complete(self) -> list[Command]:
        if self.phase is not Phase.EXCHANGING or self.awaited():
            return []
        self.phase = Phase.AGGREGATING
        heard = tuple(
            self._take_heard(peer, neighbour)
            for peer, neighbour in sorted(self.neighbours.items())
            if self._is_of_use(neighbour)
        )
        return [Aggregate(self.round, heard)]

    def _take_heard(self, peer: str, neighbour: PeerProgress) -> NeighbourMasks:
        signs, neighbour.signs = tuple(neighbour.signs), []
        keep = neighbour.newest if MaskKind.KEEP in self.exchange.kinds else None
        return NeighbourMasks(peer, keep, signs, self.staleness(neighbour))

    def _is_of_use(self, neighbour: PeerProgress) -> bool:
        return neighbour.arrived is not None and self.staleness(neighbour) <= self.max_staleness

    def _finish_round(self, masks: Mapping[str, Mask]) -> list[Command]:
        self.round += 1
        if MaskKind.KEEP not in self.exchange.kinds:  # else newer ones may have arrived meanwhile
            for peer in masks.keys() & self.neighbours.keys():
                self.neighbours[peer].newest = masks[peer]
        return [*self._forget_the_gone(), Save(self.round), *self._begin_round()]

    def _forget_the_gone(self) -> list[Command]:
        """Drop neighbours that are neither connected nor of use, so that passers-by do not pile up."""
        gone = [peer for peer, one in self.neighbours.items() if not one.connected and not self._is_of_use(one)]
        for peer in gone:
            del self.neighbours[peer]
        return [ForgetPeers(tuple(gone))] if gone and MaskKind.SIGN in self.exchange.kinds else []

    def _receive(self, peer: str, message: MaskMessage | Unchanged) -> list[Command]:
        neighbour = self.neighbours.get(peer)
        if neighbour is None or not neighbour.connected:
            return []
        if isinstance(message, MaskMessage) and message.kind not in self.exchange.kinds:
            explanation = f"sent a {message.kind.name} mask, this run exchanges {self.exchange.value}"
            return [Refuse(peer, "mask_kind", explanation)]
        lead = message.round - (self.round + neighbour.offset)
        if lead > MAX_ROUND_LEAD and not neighbour.adrift:
            return [Refuse(peer, "far_future", f"sent a mask {lead} rounds ahead of where it was due")]
        if isinstance(message, Unchanged):
            return self._hear_no_news(peer, neighbour, message, lead)
        if message.kind is MaskKind.SIGN:
            if not neighbour.keep(message, MAX_PENDING_SIGNS):
                return [Refuse(peer, "too_many", f"sent {MAX_PENDING_SIGNS} sign masks without waiting for an answer")]
            neighbour.arrived = self.round
        closes = message.kind is MaskKind.KEEP or self.exchange is Exchange.SIGN
        return self._keep_pace(neighbour, message, lead) if closes else []

    def _hear_no_news(self, peer: str, neighbour: PeerProgress, word: Unchanged, lead: int) -> list[Command]:
        """Take in that a neighbour's masks are as they were; with ``both``, its keep mask's turn is yet to come."""
        of_signs = bool(word.epoch) and MaskKind.SIGN in self.exchange.kinds
        commands: list[Command] = []
        if of_signs:
            commands.append(Resynchronize(peer, ExchangeState(word.epoch, word.held, b"", opening=False)))
        if not of_signs or self.exchange is Exchange.SIGN:
            commands += self._keep_pace(neighbour, word, lead)
        return commands

    def _keep_pace(self, neighbour: PeerProgress, message: MaskMessage | Unchanged, lead: int) -> list[Command]:
        """Take in the message by which a neighbour ends its part of a round."""
        if message.round <= neighbour.last_round:
            return []
        fell_behind = lead < 0 and not neighbour.in_pace
        if fell_behind or lead > 1 or neighbour.adrift:  # or went on without us: count from here
            neighbour.offset += lead
        neighbour.adrift = neighbour.paced
        neighbour.last_round = message.round
        if isinstance(message, MaskMessage) and message.kind is MaskKind.KEEP:
            neighbour.newest = message.mask
        neighbour.arrived = self.round
        neighbour.in_pace = True
        return self._close_if_complete()

    def _link_up(self, peer: str, their_round: int) -> list[Command]:
        neighbour = self.neighbours.setdefault(peer, PeerProgress())
        neighbour.connected = True
        neighbour.in_pace = True
        neighbour.offset = their_round - self.round
        neighbour.last_round = min(neighbour.last_round, their_round - 1)
        if MaskKind.SIGN in self.exchange.kinds:
            return [OpenExchange(peer)]
        return [] if self.own is None or neighbour.paced else [SendMask(peer, self.own)]

    def _meet(self, peer: str, greeting: ExchangeState) -> list[Command]:
        """Go on where the neighbour's replica stands; if this round's masks are out already, send it its own."""
        if peer not in self.neighbours or MaskKind.SIGN not in self.exchange.kinds:
            return []
        sent = greeting.opening and self.own is not None and self.own.round == self.round
        sent = sent and not self.neighbours[peer].paced
        share = self._share(self.own, (peer,)) if sent and self.own is not None else []
        return [Resynchronize(peer, greeting), *share]

    def _link_down(self, peer: str) -> list[Command]:
        if peer in self.neighbours:
            self.neighbours[peer].connected = False
        return self._close_if_complete()

    def _give_up_waiting(self, deadline_round: int) -> list[Command]:
        if deadline_round != self.round or self.phase is not Phase.EXCHANGING:
            return []
        for peer in self.awaited():
            self.neighbours[peer].in_pace = False
        self.gave_up = self.round
        return self._close_if_complete()

    def _is_awaited(self, neighbour: PeerProgress) -> bool:
        spoken = neighbour.last_round >= self.round + neighbour.offset
        due = neighbour.in_pace or (self._is_far_behind(neighbour) and self.gave_up != self.round)
        return neighbour.expected and due and not spoken

    def _is_far_behind(self, neighbour: PeerProgress) -> bool:
        return 0 < self.max_lead < self.staleness(neighbour) and neighbour.arrived is not None
