"""A network of simulated nodes: links open and close, messages arrive, nodes leave and return, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dslnode.protocol.codec.delta import Reference
from dslnode.protocol.codec.reference import MaskReferences
from dslnode.protocol.events import DeadlinePassed
from dslnode.simulation.boards import absence_rounds
from dslnode.simulation.event_queue import EventQueue
from dslnode.simulation.framing import Framed
from dslnode.simulation.happenings import (
    DeadlineOver,
    Happening,
    LineFree,
    LinkOpens,
    MessageArrives,
    NodeReturns,
    StartsAnyway,
    WorkDone,
)
from dslnode.simulation.line import LinkEnd
from dslnode.simulation.link_model import LinkModel, transfer
from dslnode.simulation.records import RoundRecord
from dslnode.simulation.topology import Neighbours, edges_of
from dslnode.simulation.virtual_node import VirtualNode, node_key, node_number
from dslnode.transport.frame_codec import LinkParameters
from dslnode.transport.traffic import Flow, Traffic

UNUSED = MaskReferences.from_start(None)
"""The references of links on which no keep masks travel."""
BEFORE = "before"
"""In place of a neighbour: the traffic of a simulation that is resumed."""
HANDSHAKE_TRIPS = 4
"""Round trips until a link is open: TCP, TLS, HTTP/2 and the hellos."""
HANDSHAKE_BYTES = 3_000
"""What either side sends until then, beside its hello: mutual TLS with the certificates of tickets, HTTP/2's settings,
and headers. Measured: 2,800 by who dials, 3,200 by who answers (``benchmarks.fidelity`` compares all bytes)."""


@dataclass(frozen=True, kw_only=True)
class NetworkRules:
    """What holds for all links and nodes. ``hello_bytes`` is what one hello takes, framed."""

    line: LinkModel
    parameters: LinkParameters
    hello_bytes: int
    wait_for_peers: float
    churn: float = 0.0


class VirtualNetwork:
    """Nodes and the links between them. ``step`` goes on to the next thing that happens."""

    def __init__(
        self,
        neighbours: Neighbours,
        rules: NetworkRules,
        queue: EventQueue[Happening],
        on_record: Callable[[RoundRecord], None],
    ) -> None:
        self.neighbours = neighbours
        self.nodes: list[VirtualNode] = []
        self.departures = 0
        self._rules = rules
        self._queue = queue
        self._on_record = on_record
        self._links = 0  # opened so far

    def begin(self) -> None:
        """Start all nodes at once, and have their links open."""
        for edge in edges_of(self.neighbours):
            self._plan_link(*edge)
        for node in self.nodes:
            wait = self._rules.wait_for_peers if self.neighbours[node.number] else 0.0
            self._queue.plan(wait, StartsAnyway(node.number, node.life))

    def resume(self, last: Mapping[int, RoundRecord]) -> None:
        """Start every node again at the time of its ``last`` record, with what it had sent by then."""
        for node in self.nodes:
            record = last[node.number]
            node.present, node.machine.round = False, record.round
            node.traffic[BEFORE] = Traffic(sent=Flow(payload_bits=record.payload_bits, link_bytes=record.wire_bytes))
            self._queue.plan(record.seconds, NodeReturns(node.number))

    def step(self) -> bool:
        """Let the next thing happen; return whether there was one."""
        if not len(self._queue):
            return False
        happening = self._queue.take()
        match happening:
            case MessageArrives():
                self._deliver(happening)
            case LinkOpens((first, second), lives):
                if (self.nodes[first].life, self.nodes[second].life) == lives:
                    self._open(self.nodes[first], self.nodes[second])
            case NodeReturns(number):
                self._return(self.nodes[number])
            case _ if self.nodes[happening.node].life == happening.life:
                self._on_own(self.nodes[happening.node], happening)
        return True

    def round_finished(self, record: RoundRecord) -> None:
        """Take in that a node has finished a round; it may leave then."""
        self._on_record(record)
        node = self.nodes[record.node]
        is_last = record.round == node.machine.limit
        rounds = 0.0 if is_last or not self._rules.churn else absence_rounds(self._rules.churn, node.draws)
        if rounds:
            self.departures += 1
            self._part(node)
            node.leave()
            self._queue.plan(rounds * record.round_seconds, NodeReturns(node.number))

    def node_finished(self, number: int) -> None:
        """Take in that a node has done all its rounds: its daemon ends."""
        self._part(self.nodes[number])
        self.nodes[number].present = False

    def _on_own(self, node: VirtualNode, happening: WorkDone | DeadlineOver | LineFree | StartsAnyway) -> None:
        match happening:
            case WorkDone():
                node.on_work_done(happening.command)
            case DeadlineOver():
                node.feed(DeadlinePassed(happening.round))
            case LineFree():
                node.on_line_free()
            case StartsAnyway():
                node.start()

    def _deliver(self, arrived: MessageArrives) -> None:
        receiver, peer = self.nodes[arrived.receiver], node_key(arrived.sender)
        end = receiver.links.get(peer)
        if end is None or end.number != arrived.link:
            return
        arrived.framed.count_in(receiver.traffic[peer].received, wire_bytes=arrived.wire_bytes)
        receiver.on_message(peer, arrived)

    def _part(self, node: VirtualNode) -> None:
        """Close all links of a node. Its neighbours notice at once: an orderly daemon says goodbye."""
        node.present = False
        for peer in list(node.links):
            other = self.nodes[node_number(peer)]
            for one, key in ((other, node.key), (node, peer)):
                one.references[key] = one.links[key].references
                one.close_link(key)

    def _return(self, node: VirtualNode) -> None:
        node.present = True
        node.round_began = self._queue.now
        for peer in self.neighbours[node.number]:
            if self.nodes[peer].present:
                self._plan_link(node.number, peer)
        node.start()

    def _plan_link(self, first: int, second: int) -> None:
        one, other = self.nodes[first], self.nodes[second]
        cost = transfer(self._rules.line, HANDSHAKE_BYTES + self._rules.hello_bytes, one.draws)
        seconds = cost.seconds + 2 * (HANDSHAKE_TRIPS - 1) * self._rules.line.delay_seconds
        self._queue.plan(seconds, LinkOpens((first, second), (one.life, other.life)))

    def _open(self, one: VirtualNode, other: VirtualNode) -> None:
        if not (one.present and other.present):
            return
        self._links += 1
        hello = Framed(self._rules.hello_bytes)
        for node, peer in ((one, other), (other, one)):
            traffic = node.traffic.setdefault(peer.key, Traffic())
            for flow in (traffic.sent, traffic.received):
                hello.count_in(flow, wire_bytes=HANDSHAKE_BYTES + hello.framed_bytes)
        ends = [self._end(node, peer) for node, peer in ((one, other), (other, one))]
        rounds = one.machine.round, other.machine.round
        for node, end, their_round in zip((one, other), ends, reversed(rounds), strict=True):
            node.open_link(end, their_round=their_round)
        for node in (one, other):
            if len(node.links) == len(self.neighbours[node.number]):
                node.start()

    def _end(self, node: VirtualNode, peer: VirtualNode) -> LinkEnd:
        parameters = self._rules.parameters
        if not parameters.keep_masks:
            return LinkEnd.open(peer.key, self._links, UNUSED, node.cache, parameters)
        known = node.references.get(peer.key) or MaskReferences.from_start(Reference(node.learner.initial_mask))
        same_start = node.learner.initial_mask == peer.learner.initial_mask
        held = peer.references[node.key].incoming.last if node.key in peer.references else None
        digest = b"" if held is None else held.digest
        return LinkEnd.open(peer.key, self._links, known, node.cache, parameters, same_start=same_start, held=digest)
