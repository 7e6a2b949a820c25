"""Consensus on scores by sign masks: what two neighbours publicly know of each other's scores, kept in step exactly.

Across every edge, each side keeps a replica of the other's scores and one of what the other knows of its own; all
begin where the seed says. A sign mask says which scores lie above the replica, and one scale a layer by how much
the replica then moves, up or down; what is lost by one bit stays in the difference and is sent later (error
feedback: Koloskova et al. 2019, CHOCO-SGD). Both sides compute the same float32 operations on the same values, so
replicas stay equal to the bit; a checksum proves it with every step.

An edge begins anew, both ways, with a higher epoch: after a restart, a gap, or a checksum that does not match. That
costs no bits: the replicas return to the seeded scores, and the next sign masks catch up. Where a node has learned
much before an edge begins, the first steps are crude, all scores moving by as much; pulled by the difference of two
such replicas, nodes that agree would part. So these pull nobody until they are close.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dslnode.learning import robust_aggregation
from dslnode.learning.frozen_network import FrozenNetwork
from dslnode.learning.masking import to_mask, top_k
from dslnode.learning.options import RobustAggregation
from dslnode.learning.replica import QuantizedStep, apply_step, checksum, distance, quantize, step_length
from dslnode.protocol.mask import Mask
from dslnode.protocol.messages import (
    ExchangeState,
    MaskKind,
    MaskMessage,
    ReplicaStep,
    RoundMessage,
    Unchanged,
    step_of,
)

WINDOW = 4
"""Steps that may be on their way to a neighbour; one that does not keep up is sent nothing until it answers."""
WARM_UP_LIMIT = 0.3
"""What a replica's last step may be, as a part of all it holds, for it to pull where an edge began late."""


@dataclass
class PeerReplicas:
    """One neighbour: the two replicas (never changed in place), the last steps each way, and what is on its way.

    ``rough`` edges began late. ``our_step`` and ``their_step`` are how far the replicas last moved, the mean of scores.
    """

    ours: Tensor
    theirs: Tensor
    epoch: int = 1
    rough: bool = False
    our_step: float = math.inf
    their_step: float = math.inf
    sent: int = 0
    held: int = 0
    told: int = -1  # the round of the last step
    opened: int = 0  # steps made before the link opened: later ones travel on it and cannot be lost but with it
    met: bool = False  # since the link opened: before, it is not known which steps arrived
    their_counts: tuple[int, ...] = ()
    unacknowledged: list[MaskMessage] = field(default_factory=list)

    def unheard(self, held: int) -> list[MaskMessage]:
        """Return the steps on their way that a neighbour who holds ``held`` has not applied."""
        return [message for message in self.unacknowledged if step_of(message).sequence > held]


class ScoreConsensus:
    """All edges of one node. ``restarts`` counts how often one had to begin anew.

    A neighbour whose replica lacks no more than the part ``send_threshold`` of what was learned is sent no step. From
    when the node has ``learned`` something on, edges begin late.
    """

    def __init__(self, network: FrozenNetwork, first_scores: Tensor, send_threshold: float = 0.0) -> None:
        self.restarts = 0
        self.learned = False
        self._skip_below = send_threshold
        self._close = max(WARM_UP_LIMIT, 2 * send_threshold)  # steps smaller than send_threshold are not sent
        self._network = network
        self._first = first_scores.clone()
        self._edges: dict[str, PeerReplicas] = {}

    def open_exchange(self, neighbour: str) -> ExchangeState:
        """Return what this node holds of a neighbour's scores, to be said whenever a link opens."""
        edge = self._replicas_of(neighbour)
        edge.met, edge.opened = False, edge.sent
        return ExchangeState(edge.epoch, edge.held, checksum(edge.theirs))

    def resynchronize(self, neighbour: str, greeting: ExchangeState) -> list[MaskMessage]:
        """Take in what a neighbour holds of our scores; return the steps that were lost on the way, to send again."""
        edge = self._replicas_of(neighbour)
        if not greeting.opening:
            self._acknowledge(neighbour, greeting.epoch, greeting.acknowledged)
            return []
        unheard = edge.unheard(greeting.acknowledged)
        complete = greeting.acknowledged + len(unheard) == edge.sent
        known = bool(unheard) or greeting.checksum == checksum(edge.ours)
        if greeting.epoch == edge.epoch and complete and known:
            edge.unacknowledged, edge.met = unheard, True
            return [message for message in unheard if step_of(message).sequence <= edge.opened]
        self._reset(neighbour, max(edge.epoch, greeting.epoch) + 1)
        return []

    def make_steps(self, round_number: int, scores: Tensor, neighbours: Iterable[str]) -> dict[str, RoundMessage]:
        """Move every neighbour's replica of our scores; return the sign masks that tell them.

        Once a round, however often links open. Who has too many on their way is told only what we hold of its own, or
        both might wait for ever. Replicas that are the same tensor, all that never missed a step, get the same mask.
        """
        moves: dict[Tensor, QuantizedStep | None] = {}  # tensors are told apart by identity
        messages: dict[str, RoundMessage] = {}
        for neighbour in neighbours:
            edge = self._replicas_of(neighbour)
            if not edge.met or edge.told == round_number:
                continue
            if len(edge.unacknowledged) >= WINDOW:
                messages[neighbour] = ExchangeState(edge.epoch, edge.held, checksum(edge.theirs), opening=False)
                continue
            if edge.ours not in moves:
                moves[edge.ours] = self._quantize(edge.ours, scores)
            made = moves[edge.ours]
            unchanged = Unchanged(round_number, edge.epoch, edge.held)
            messages[neighbour] = unchanged if made is None else self._take_step(edge, made, round_number)
        return messages

    def _quantize(self, replica: Tensor, scores: Tensor) -> QuantizedStep | None:
        """Return the step of a replica of our scores; None if it lacks too little of what was learned."""
        if distance(scores, replica) <= self._skip_below * self._learned_by(scores):
            return None
        return quantize(replica, scores, self._network.score_layout)

    def _take_step(self, edge: PeerReplicas, made: QuantizedStep, round_number: int) -> MaskMessage:
        edge.ours, edge.our_step = made.after, made.length
        edge.sent, edge.told = edge.sent + 1, round_number
        step = ReplicaStep(
            epoch=edge.epoch,
            sequence=edge.sent,
            acknowledged=edge.held,
            scales=made.scales,
            counts=self._network.counts,
            checksum=made.checksum,
        )
        message = MaskMessage(round_number, MaskKind.SIGN, made.signs, step)
        edge.unacknowledged.append(message)
        return message

    def apply_step(self, neighbour: str, message: MaskMessage) -> None:
        """Apply a neighbour's sign mask to its replica; begin anew if it does not follow on what is held."""
        step, edge = step_of(message), self._replicas_of(neighbour)
        if step.epoch > edge.epoch:
            edge = self._reset(neighbour, step.epoch)
        if step.epoch < edge.epoch or step.sequence <= edge.held:
            return
        replica = apply_step(edge.theirs, message.mask, step.scales)
        if step.sequence != edge.held + 1 or checksum(replica) != step.checksum:
            self._reset(neighbour, edge.epoch + 1)
            return
        edge.theirs, edge.held, edge.their_counts = replica, step.sequence, step.counts
        edge.their_step = step_length(message.mask, step.scales)
        self._acknowledge(neighbour, step.epoch, step.acknowledged)

    def implied_mask(self, neighbour: str) -> Mask | None:
        """Return the keep mask that follows from a neighbour's replica; None while that is empty, or rough."""
        edge = self._replicas_of(neighbour)
        if not edge.their_counts or self._is_warming_up(edge):
            return None
        keep = top_k(self._network.spread(edge.theirs), self._network.layout, edge.their_counts)
        return to_mask(keep, self._network.layout)

    def consensus_step(
        self, neighbours: Sequence[str], strength: float, rule: RobustAggregation = RobustAggregation.OFF
    ) -> Tensor:
        """Return how far scores move towards the neighbours' that sent steps: ``strength * sum_j (R_j - R) / n``.

        ``n`` counts this node and all its neighbours, those that had nothing to send, too. If the few that speak had
        the weight of all, a step would move its receivers so far that they had to answer: no mesh would fall silent.
        Replicas are compared on one edge only, so an edge that begins anew pulls nobody back to the start. By ``rule``
        some differences are shortened, and some left out as if the neighbour were not there. Rough edges are silent.
        """
        spans = [span for _, span in self._network.score_layout.spans()]
        pulling = {name: edge for name in neighbours if not self._is_warming_up(edge := self._replicas_of(name))}
        edges = list(pulling.values())
        believed = robust_aggregation.robust_weights(lambda i: edges[i].theirs - edges[i].ours, len(edges), spans, rule)
        silent = sum(edge.met for name, edge in self._edges.items() if name not in pulling)
        total = torch.zeros_like(self._first)
        for i, factors in believed.items():
            difference = robust_aggregation.scaled(edges[i].theirs - edges[i].ours, factors, spans)
            total.add_(difference, alpha=strength / (len(believed) + silent + 1))
        return total

    def forget(self, neighbours: Iterable[str]) -> None:
        """Drop the edges to these neighbours and the memory that they take."""
        for neighbour in neighbours:
            self._edges.pop(neighbour, None)

    def _is_warming_up(self, edge: PeerReplicas) -> bool:
        if edge.rough:
            replicas = (edge.ours, edge.our_step), (edge.theirs, edge.their_step)
            edge.rough = any(step > self._close * self._learned_by(replica) for replica, step in replicas)
        return edge.rough

    def _learned_by(self, scores: Tensor) -> float:
        return distance(scores, self._first)

    def _replicas_of(self, neighbour: str) -> PeerReplicas:
        return self._edges.setdefault(neighbour, PeerReplicas(self._first, self._first, rough=self.learned))

    def _acknowledge(self, neighbour: str, epoch: int, held: int) -> None:
        """Take in what a neighbour holds; who began the edge anew and has no step to send says so by this alone."""
        edge = self._replicas_of(neighbour)
        if epoch > edge.epoch:
            self._reset(neighbour, epoch)
        elif epoch == edge.epoch:
            edge.unacknowledged = edge.unheard(held)

    def _reset(self, neighbour: str, epoch: int) -> PeerReplicas:
        self.restarts += 1
        self._edges[neighbour] = PeerReplicas(self._first, self._first, epoch, self.learned, met=True)
        return self._edges[neighbour]
