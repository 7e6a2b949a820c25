"""Nodes of a simulated network: links open and close, messages arrive, nodes leave and return, in virtual time.

Nodes tell each other everything by happenings that take at least ``least_seconds`` of the line. So the nodes of one
network may be dealt to several processes: each runs its own ones, and hands over what happens at others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dslnode.protocol.codec.reference import MaskReferences
from dslnode.protocol.events import DeadlinePassed
from dslnode.simulation.boards import absence_rounds
from dslnode.simulation.event_queue import EventQueue
from dslnode.simulation.framing import Framed
from dslnode.simulation.graph import Neighbours
from dslnode.simulation.happenings import (
    DeadlineOver,
    Happening,
    HelloArrives,
    LineFree,
    LinkCloses,
    LinkNumber,
    MessageArrives,
    NodeReturns,
    StartsAnyway,
    WorkDone,
)
from dslnode.simulation.line import LinkEnd
from dslnode.simulation.link_model import LinkModel, least_seconds, transfer
from dslnode.simulation.records import RoundRecord
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
    """The ``nodes`` that this process holds, by number, and their ends of links. ``neighbours`` is the whole graph.

    ``run`` goes on in virtual time; ``on_record`` is called with the record of every round that a node has finished.
    """

    def __init__(
        self,
        neighbours: Neighbours,
        rules: NetworkRules,
        queue: EventQueue[Happening],
        on_record: Callable[[RoundRecord], None],
    ) -> None:
        self.neighbours = neighbours
        self.nodes: dict[int, VirtualNode] = {}
        self.departures = 0
        self._rules = rules
        self._queue = queue
        self._on_record = on_record

    def begin(self) -> None:
        """Start all nodes at once, and have their links open: the lower node dials."""
        for node in self.nodes.values():
            for peer in self.neighbours[node.number]:
                if node.number < peer:
                    self._dial(node, peer)
            wait = self._rules.wait_for_peers if self.neighbours[node.number] else 0.0
            node.plan(StartsAnyway(node.number, node.life), at=wait)

    def resume(self, last: Mapping[int, RoundRecord]) -> None:
        """Start every node again at the time of its ``last`` record, with what it had sent by then."""
        for node in self.nodes.values():
            record = last[node.number]
            node.present, node.machine.round = False, record.round
            node.traffic[BEFORE] = Traffic(sent=Flow(payload_bits=record.payload_bits, link_bytes=record.wire_bytes))
            node.plan(NodeReturns(node.number), at=record.seconds)

    def run(self, before: float) -> None:
        """Let happen all that happens here before a virtual time."""
        while self._queue.next_seconds < before:
            self._happen(self._queue.take().happening)

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
            node.plan(NodeReturns(node.number), at=node.now + rounds * record.round_seconds)

    def node_finished(self, number: int) -> None:
        """Take in that a node has done all its rounds: its daemon ends."""
        self._part(self.nodes[number])

    def _happen(self, happening: Happening) -> None:
        match happening:
            case MessageArrives():
                self._deliver(happening)
            case HelloArrives():
                self._meet(self.nodes[happening.receiver], happening)
            case LinkCloses(number, peer, link):
                self._close(self.nodes[number], node_key(peer), link)
            case NodeReturns(number):
                self._return(self.nodes[number])
            case _ if self.nodes[happening.node].life == happening.life:
                self._on_own(self.nodes[happening.node], happening)

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
        """Close all links of a node. Neighbours hear of it after all it has sent: an orderly daemon says goodbye."""
        node.present = False
        for peer, end in list(node.links.items()):
            self._say_goodbye(node, node_number(peer), end.number, at=end.last_arrival)
            self._close(node, peer, end.number)

    def _say_goodbye(self, node: VirtualNode, peer: int, link: LinkNumber, *, at: float) -> None:
        """Have a neighbour hear that this end of a link is gone, not before ``at``."""
        heard = max(at, node.now + least_seconds(self._rules.line))
        node.plan(LinkCloses(peer, node.number, link), at=heard, node=peer)

    def _close(self, node: VirtualNode, peer: str, link: LinkNumber) -> None:
        """Close one end of a link, unless that has been done, or another one has taken its place."""
        end = node.links.get(peer)
        if end is not None and end.number == link:
            node.references[peer] = end.references
            node.close_link(peer)

    def _return(self, node: VirtualNode) -> None:
        node.present = True
        node.round_began = node.now
        for peer in self.neighbours[node.number]:
            self._dial(node, peer)
        node.start()

    def _dial(self, node: VirtualNode, peer: int) -> None:
        """Begin a handshake. Where nobody is there, nothing comes of it: who returns later dials, too."""
        line = self._rules.line
        cost = transfer(line, HANDSHAKE_BYTES + self._rules.hello_bytes, node.draws)
        seconds = cost.seconds + 2 * (HANDSHAKE_TRIPS - 1) * line.delay_seconds
        node.plan(self._hello(node, peer), at=node.now + seconds, node=peer)

    def _hello(self, node: VirtualNode, peer: int, *, answers: int | None = None) -> HelloArrives:
        uses_masks, known = self._rules.parameters.keep_masks, node.references.get(node_key(peer))
        held = None if known is None else known.incoming.last
        return HelloArrives(
            sender=node.number,
            receiver=peer,
            life=node.life,
            round=node.machine.round,
            held=b"" if held is None else held.digest,
            start=node.start_digest if uses_masks else b"",
            answers=answers,
        )

    def _meet(self, node: VirtualNode, hello: HelloArrives) -> None:
        """Open this end of a link. Who was dialled answers; who is not there any more says goodbye to an answer."""
        peer, life = node_key(hello.sender), node.life if hello.answers is None else hello.answers
        link = link_number(node.number, life, hello.sender, hello.life)
        if not node.present or life != node.life:
            if hello.answers is not None:
                self._say_goodbye(node, hello.sender, link, at=node.now)
            return
        end = node.links.get(peer)
        if end is not None:
            if end.number >= link:  # both have dialled, or this is an old hello
                return
            self._close(node, peer, end.number)
        self._open(node, hello, link)

    def _open(self, node: VirtualNode, hello: HelloArrives, link: LinkNumber) -> None:
        peer = node_key(hello.sender)
        own = Framed(self._rules.hello_bytes)
        traffic = node.traffic.setdefault(peer, Traffic())
        for flow in (traffic.sent, traffic.received):
            own.count_in(flow, wire_bytes=HANDSHAKE_BYTES + own.framed_bytes)
        end = self._end(node, hello, link)
        if hello.answers is None:
            seconds = transfer(self._rules.line, self._rules.hello_bytes, node.draws).seconds
            end.last_arrival = node.now + seconds
            answer = self._hello(node, hello.sender, answers=hello.life)
            node.plan(answer, at=end.last_arrival, node=hello.sender)
        node.open_link(end, their_round=hello.round)
        if len(node.links) == len(self.neighbours[node.number]):
            node.start()

    def _end(self, node: VirtualNode, hello: HelloArrives, link: LinkNumber) -> LinkEnd:
        parameters, peer = self._rules.parameters, node_key(hello.sender)
        if not parameters.keep_masks:
            return LinkEnd.open(peer, link, UNUSED, node.cache, parameters)
        known = node.references.get(peer) or MaskReferences.from_start(node.start_reference)
        same_start = node.start_digest == hello.start
        return LinkEnd.open(peer, link, known, node.cache, parameters, same_start=same_start, held=hello.held)


def link_number(first: int, first_life: int, second: int, second_life: int) -> LinkNumber:
    """Return the number of the link between two nodes in these lives of theirs: a later one's is greater."""
    return (first_life, second_life) if first < second else (second_life, first_life)
