"""One simulated node: the daemon's learner, round machine, deadline and data plan, driven in virtual time.

Its processor does one thing at a time, as the daemon's worker thread does: training, aggregation, steps. Its line sends
one message at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from statistics import fmean

import numpy as np

from dslnode.accounting.exchange_pacing import ExchangeScheduler
from dslnode.learning.results import Progress
from dslnode.protocol import events
from dslnode.protocol.codec.delta import Reference
from dslnode.protocol.codec.reference import MaskReferences
from dslnode.protocol.messages import ExchangeState, IntervalRequest, MaskMessage, Unchanged
from dslnode.protocol.round_deadline import RoundDeadline
from dslnode.protocol.round_machine import RoundMachine
from dslnode.simulation.boards import Board
from dslnode.simulation.command_messages import messages_of
from dslnode.simulation.event_queue import EventQueue
from dslnode.simulation.framing import framed, result_of
from dslnode.simulation.happenings import DeadlineOver, Happening, LineFree, MessageArrives, WorkDone
from dslnode.simulation.line import Line, LinkEnd
from dslnode.simulation.link_model import LinkModel, transfer
from dslnode.simulation.processor import Processor
from dslnode.simulation.records import RoundRecord
from dslnode.simulation.virtual_learner import VirtualLearner
from dslnode.transport.encode_cache import EncodeCache
from dslnode.transport.frame_codec import LinkMessage
from dslnode.transport.traffic import Traffic


@dataclass(frozen=True, kw_only=True)
class RoundRules:
    """How a node's rounds go, as the settings of the same names say."""

    rounds: int
    round_deadline: float
    evaluate_every: int


@dataclass(frozen=True, kw_only=True)
class NodeEnvironment:
    """What all nodes of a simulation have around them."""

    queue: EventQueue[Happening]
    line: LinkModel
    rules: RoundRules


class VirtualNode:
    """One node. ``key`` is its number as the round machines of others know it.

    ``finished`` is called with the record of every finished round, ``left`` when all rounds are done.
    """

    def __init__(
        self,
        number: int,
        learner: VirtualLearner,
        machine: RoundMachine,
        *,
        board: Board,
        environment: NodeEnvironment,
        draws: np.random.Generator,
        finished: Callable[[RoundRecord], None],
        left: Callable[[int], None],
    ) -> None:
        self.number, self.key = number, node_key(number)
        self.learner, self.machine, self.board = learner, machine, board
        self.draws = draws
        self.life = 0
        self.present, self.started = True, False
        self.links: dict[str, LinkEnd] = {}
        self.traffic: dict[str, Traffic] = {}
        self.references: dict[str, MaskReferences] = {}
        self.cache = EncodeCache(large=math.inf)
        self.scheduler: ExchangeScheduler | None = None
        self.refused = 0
        self.round_began = 0.0
        self._environment = environment
        self._finished, self._left = finished, left
        self._deadline = RoundDeadline(environment.rules.round_deadline)
        self._processor = self._new_processor()
        self._line = Line()
        self._progress: Progress | None = None
        self._staleness = 0.0
        self._score: float | None = None

    @property
    def now(self) -> float:
        """Seconds of virtual time."""
        return self._environment.queue.now

    @cached_property
    def start_reference(self) -> Reference:
        """What a neighbour that starts from the same mask holds of this node's keep masks at first."""
        return Reference(self.learner.initial_mask)

    @cached_property
    def start_digest(self) -> bytes:
        """Equal exactly for nodes that start from the same mask."""
        return self.start_reference.digest

    def plan(self, happening: Happening, *, at: float, node: int | None = None) -> None:
        """Have something happen at a virtual time, at this node if no other is named."""
        place = self.number if node is None else node
        self._environment.queue.plan(happening, node=place, source=self.number, at=at)

    def feed(self, event: events.Event) -> None:
        """Let the round machine take in an event, and carry out what it commands."""
        life = self.life
        for command in self.machine.handle(event):
            if self.life == life:
                self._carry_out(command)

    def start(self) -> None:
        """Begin the first round of this life, unless it has begun."""
        if self.present and not self.started:
            self.started = True
            self.feed(events.Started())

    def send(self, peer: str, message: LinkMessage) -> None:
        """Queue a message for a neighbour; it is dropped if there is no link."""
        if peer in self.links:
            self._line.queue(peer, message)
            self._use_line()

    def measure_traffic(self) -> None:
        """Do nothing: ``traffic`` is always up to date."""

    def open_link(self, end: LinkEnd, *, their_round: int) -> None:
        """Take in that a link came up."""
        peer = end.neighbour.name
        self.links[peer] = end
        if self.scheduler is not None:
            self.scheduler.link_up(peer)
        self.feed(events.PeerUp(peer, their_round))

    def close_link(self, peer: str) -> None:
        """Take in that a link ended."""
        self._line.drop(peer)
        del self.links[peer]
        if self.present:
            self.feed(events.PeerDown(peer))

    def leave(self) -> None:
        """Stop, as a daemon does: what it has not finished is lost, and so are the replicas of its neighbours."""
        self.life += 1
        self.present = self.started = False
        self._processor, self._line = self._new_processor(), Line()
        self.references.clear()
        self.cache = EncodeCache(large=math.inf)
        self.learner.restart()
        former = self.machine
        self.machine = replace(former, neighbours={}, own_mask=None, phase=events.Phase.STARTING, timed_out_round=-1)
        self._deadline = RoundDeadline(self._environment.rules.round_deadline)

    def on_work_done(self, command: events.Command) -> None:
        """Do what the processor took this time for, and go on with what waits."""
        self._processor.done(command)

    def on_line_free(self) -> None:
        """Send what waits."""
        self._line.busy = False
        self._use_line()

    def on_message(self, peer: str, arrived: MessageArrives) -> None:
        """Take in a neighbour's message."""
        message = arrived.message
        if arrived.reference is not None:
            self.links[peer].references.incoming.last = arrived.reference
        match message:
            case MaskMessage() | Unchanged():
                self._deadline.message_arrived(peer, self.now)
                self.feed(events.Received(peer, message))
            case IntervalRequest():
                if self.scheduler is not None:
                    self.scheduler.on_interval_request(peer, message)
            case ExchangeState():
                self.feed(events.ExchangeStateReceived(peer, message))

    def _new_processor(self) -> Processor:
        return Processor(self.board, self.learner.options, plan=partial(self._plan_work, self.life), work=self._do)

    def _plan_work(self, life: int, seconds: float, command: events.Command) -> None:
        self.plan(WorkDone(self.number, life, command), at=self.now + seconds)

    def _carry_out(self, command: events.Command) -> None:
        match command:
            case events.SendMask(peer, message):
                self.send(peer, message)
            case events.SetDeadline(number):
                self._set_deadline(number)
            case events.Save(number):
                self._finished(self._record(number))
            case events.Refuse():
                self.refused += 1
            case events.Finish():
                self._left(self.number)
            case _:
                self._processor.take(command)

    def _do(self, command: events.Command) -> None:
        match command:
            case events.Train(number):
                self._progress = self.learner.train_round(number)
                self.feed(events.Trained(self.learner.sent_mask(number), *self._choose_exchanges()))
            case events.Aggregate(number, heard):
                masks = self.learner.aggregate(heard)
                self._staleness = fmean([each.staleness for each in heard]) if heard else 0.0
                self._score = self.learner.score() if self._is_judged(number) else None
                self.feed(events.Aggregated(masks))
            case events.SendSignMasks() | events.OpenExchange() | events.Resynchronize() | events.ForgetPeers():
                for peer, message in messages_of(self.learner, command):
                    self.send(peer, message)

    def _choose_exchanges(self) -> tuple[frozenset[str], frozenset[str]]:
        """Return whom the data plan sends nothing this round, and who exchanges at intervals."""
        if self.scheduler is None:
            return frozenset(), frozenset()
        return result_of(self.scheduler.decide())

    def _is_judged(self, number: int) -> bool:
        rules = self._environment.rules
        return number + 1 == rules.rounds or number % rules.evaluate_every == 0

    def _set_deadline(self, number: int) -> None:
        awaited, patient = self.machine.awaited(), self.machine.leads_too_far()
        seconds = self._deadline.begin(self.now, awaited, self.machine.expected(), patient=patient)
        self.plan(DeadlineOver(self.number, self.life, number), at=self.now + seconds)

    def _use_line(self) -> None:
        """Code and send the message that waits longest, unless the line is taken."""
        if self._line.busy or not self._line.waiting:
            return
        peer, message = self._line.waiting.popleft()
        end = self.links[peer]
        size = framed(end.encoder, message)
        cost = transfer(self._environment.line, size.framed_bytes, self.draws)
        wire_bytes = cost.wire_bytes + cost.resent_bytes
        size.count_in(self.traffic[peer].sent, wire_bytes=wire_bytes, resent_bytes=cost.resent_bytes)
        end.last_arrival = max(end.last_arrival, self.now + cost.seconds)  # TCP keeps the order
        reference = end.sent_reference(message)
        arrives = MessageArrives(
            sender=self.number,
            receiver=node_number(peer),
            link=end.number,
            message=message,
            framed=size,
            wire_bytes=wire_bytes,
            reference=reference,
        )
        self.plan(arrives, at=end.last_arrival, node=arrives.receiver)
        self._line.busy = True
        self.plan(LineFree(self.number, self.life), at=self.now + cost.busy_seconds)

    def _record(self, finished: int) -> RoundRecord:
        assert self._progress is not None, "a round is trained before it is finished"
        sent = [traffic.sent for traffic in self.traffic.values()]
        began, self.round_began = self.round_began, self.now
        return RoundRecord(
            node=self.number,
            round=finished,
            seconds=self.now,
            round_seconds=self.now - began,
            score=self._score,
            loss=self._progress.loss,
            neighbours=len(self.links),
            staleness=self._staleness,
            density=self.learner.mask.density,
            payload_bits=sum(flow.payload_bits for flow in sent),
            wire_bytes=sum(flow.wire_bytes for flow in sent),
        )


def node_key(number: int) -> str:
    """Return the key by which round machines know a node; keys sort as numbers do."""
    return f"{number:06}"


def node_number(key: str) -> int:
    """Return the number of the node with this key."""
    return int(key)
