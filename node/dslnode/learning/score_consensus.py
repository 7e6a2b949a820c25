"""Consensus on scores by sign masks, one bit per score (paper, step 5; CHOCO-SGD, Koloskova et al. 2019).

Each pair of neighbours keeps two replicas: A's estimate of B's scores, and B's of A's (x̂ in CHOCO-SGD). Both sides
hold the same copies, which begin at the seeded scores. A sign mask says which scores lie above the replica; one scale
per layer says how far the replica then moves, up or down. What one bit cannot say stays in the difference and is sent
later (error feedback). Both sides compute the same float32 operations on the same values, so replicas stay equal to the
bit. A checksum proves that with every step.

States of the exchange with one neighbour, over one link:

    opened          ``open_exchange`` was sent; the neighbour's state is not known: no steps are made
    synchronized    ``resynchronize`` found that the states fit: steps are made and applied
    full            ``WINDOW`` steps are not acknowledged: only this node's state is sent until they are
    warming up      synchronized, but replicas are coarse: steps travel, and pull nobody yet

The states do not fit after a restart, a lost step, or a checksum that differs. Then both sides reset: they return to
the seeded scores with a higher epoch. That costs no bits; the next steps catch up. A node that has learned much before
sends coarse steps at first, all scores moving by as much. The difference of two such replicas would push agreeing nodes
apart. So an exchange that begins late warms up before it pulls.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dslnode.learning.frozen_network import FrozenNetwork
from dslnode.learning.masking import to_mask, top_k
from dslnode.learning.options import RobustAggregation
from dslnode.learning.replica import QuantizedStep, apply_step, checksum, distance, quantize, step_length
from dslnode.learning.robust_aggregation import robust_weights, scaled
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
"""Steps that may be unacknowledged; a neighbour that falls behind is sent none until it answers."""
WARM_UP_LIMIT = 0.3
"""Largest length of a replica's last step, as a part of its distance from the seeded scores, with which it may pull.

At least twice the send threshold, since smaller steps than that are not sent.
"""


@dataclass
class OutgoingReplica:
    """What a neighbour knows of this node's scores. ``scores``, float32 (scores,), is never changed in place."""

    scores: Tensor
    step_length: float = math.inf  # of the last step, mean over the scores
    sequence: int = 0  # of the last step made, from 1
    last_round_sent: int = -1
    sent_before_open: int = 0  # steps made before the link opened; later ones travel on it and are lost only with it
    unacknowledged: list[MaskMessage] = field(default_factory=list)

    def unacknowledged_after(self, sequence: int) -> list[MaskMessage]:
        """Return the steps that a neighbour which has applied ``sequence`` of them has not applied yet."""
        return [message for message in self.unacknowledged if step_of(message).sequence > sequence]


@dataclass
class IncomingReplica:
    """What this node knows of a neighbour's scores. ``scores``, float32 (scores,), is never changed in place."""

    scores: Tensor
    step_length: float = math.inf  # of the last step, mean over the scores
    acknowledged: int = 0  # the last step applied
    keep_counts: tuple[int, ...] = ()  # the neighbour's, per layer; empty before its first step


@dataclass(frozen=True, eq=False)
class AppliedStep:
    """A replica after a step, float32 (scores,), and its checksum of 8 bytes."""

    replica: Tensor
    checksum: bytes


@dataclass
class PeerReplicas:
    """The exchange with one neighbour: both replicas, their epoch, and its state (see the module)."""

    outgoing: OutgoingReplica
    incoming: IncomingReplica
    epoch: int = 1
    warming_up: bool = False
    synchronized: bool = False

    @classmethod
    def at(
        cls, scores: Tensor, *, epoch: int = 1, warming_up: bool = False, synchronized: bool = False
    ) -> PeerReplicas:
        """Return an exchange whose replicas are both at the seeded ``scores``."""
        return cls(OutgoingReplica(scores), IncomingReplica(scores), epoch, warming_up, synchronized)

    def state(self, *, opening: bool = True) -> ExchangeState:
        """Return what the neighbour must know to go on with the exchange."""
        held = self.incoming
        return ExchangeState(self.epoch, held.acknowledged, checksum(held.scores), opening=opening)

    def fits(self, neighbour: ExchangeState) -> bool:
        """Return whether the exchange can go on: nothing between the neighbour's state and this one is lost."""
        missing = self.outgoing.unacknowledged_after(neighbour.acknowledged)
        complete = neighbour.acknowledged + len(missing) == self.outgoing.sequence
        known = bool(missing) or neighbour.checksum == checksum(self.outgoing.scores)
        return neighbour.epoch == self.epoch and complete and known


class ScoreConsensus:
    """The exchanges of one node with all its neighbours.

    ``resets`` counts them. A neighbour whose replica lacks no more than the part ``send_threshold`` of what was
    learned is sent no step. Exchanges that begin after ``has_learned`` was set warm up first.
    """

    def __init__(self, network: FrozenNetwork, seeded_scores: Tensor, send_threshold: float = 0.0) -> None:
        self.resets = 0
        self.has_learned = False
        self._send_threshold = send_threshold
        self._warm_up_limit = max(WARM_UP_LIMIT, 2 * send_threshold)
        self._network = network
        self._seeded_scores = seeded_scores.clone()
        self._peers: dict[str, PeerReplicas] = {}

    def open_exchange(self, neighbour: str) -> ExchangeState:
        """Return what this node knows of a neighbour's scores, to be sent whenever a link opens."""
        peer = self._peer(neighbour)
        peer.synchronized, peer.outgoing.sent_before_open = False, peer.outgoing.sequence
        return peer.state()

    def resynchronize(self, neighbour: str, state: ExchangeState) -> list[MaskMessage]:
        """Take in what a neighbour knows of our scores; return the steps that were lost on the way, to send again."""
        if not state.opening:
            self._acknowledge(neighbour, epoch=state.epoch, sequence=state.acknowledged)
            return []
        peer = self._peer(neighbour)
        if not peer.fits(state):
            self._reset(neighbour, epoch=max(peer.epoch, state.epoch) + 1)
            return []
        outgoing, peer.synchronized = peer.outgoing, True
        outgoing.unacknowledged = outgoing.unacknowledged_after(state.acknowledged)
        return [step for step in outgoing.unacknowledged if step_of(step).sequence <= outgoing.sent_before_open]

    def make_steps(self, round_number: int, scores: Tensor, neighbours: Iterable[str]) -> dict[str, RoundMessage]:
        """Move every neighbour's replica of our scores; return the sign masks that do the same at the other end.

        Once per round, however often links open. A neighbour with a full window is sent our state alone, or both might
        wait for ever. Replicas that are the same tensor, all that never missed a step, get the same mask.
        """
        steps: dict[Tensor, QuantizedStep | None] = {}  # tensors are told apart by identity
        messages: dict[str, RoundMessage] = {}
        for neighbour in neighbours:
            peer = self._peer(neighbour)
            outgoing = peer.outgoing
            if not peer.synchronized or outgoing.last_round_sent == round_number:
                continue
            if len(outgoing.unacknowledged) >= WINDOW:
                messages[neighbour] = peer.state(opening=False)
                continue
            if outgoing.scores not in steps:
                steps[outgoing.scores] = self._quantized(outgoing.scores, scores)
            step = steps[outgoing.scores]
            unchanged = Unchanged(round_number, peer.epoch, peer.incoming.acknowledged)
            messages[neighbour] = unchanged if step is None else self._take_step(peer, step, round_number)
        return messages

    def apply_step(self, neighbour: str, message: MaskMessage) -> None:
        """Apply a neighbour's sign mask to its replica; reset if it does not follow on what is known."""
        step, peer = step_of(message), self._peer(neighbour)
        if step.epoch > peer.epoch:
            peer = self._reset(neighbour, epoch=step.epoch)
        incoming = peer.incoming
        if step.epoch < peer.epoch or step.sequence <= incoming.acknowledged:
            return
        after = self._applied(incoming.scores, message)
        if step.sequence != incoming.acknowledged + 1 or after.checksum != step.checksum:
            self._reset(neighbour, epoch=peer.epoch + 1)
            return
        length = step_length(message.mask, step.scales)
        peer.incoming = IncomingReplica(after.replica, length, step.sequence, step.counts)
        self._acknowledge(neighbour, epoch=step.epoch, sequence=step.acknowledged)

    def replica_of(self, neighbour: str) -> Tensor:
        """Return this node's replica of a neighbour's scores, float32 (scores,)."""
        return self._peer(neighbour).incoming.scores

    def implied_mask(self, neighbour: str) -> Mask | None:
        """Return the keep mask that follows from a neighbour's replica; None before its first step, or warming up."""
        peer = self._peer(neighbour)
        if not peer.incoming.keep_counts or self._is_warming_up(peer):
            return None
        return self._mask_of(peer.incoming.scores, peer.incoming.keep_counts)

    def consensus_step(
        self, neighbours: Sequence[str], step_size: float, rule: RobustAggregation = RobustAggregation.OFF
    ) -> Tensor:
        """Return how far the scores move to those of neighbours that sent steps.

        That is ``step_size * sum_j (R_j - R_ij) / n``, float32 (scores,). ``R_j`` is neighbour j's replica, ``R_ij``
        this node's as j holds it; the weights are those of CHOCO-SGD with ``w_ij = 1 / n``. ``n`` counts this node and
        all its neighbours, also those that had nothing to send: else a few senders would move others so far that they
        had to answer, without end. A reset pulls nobody back to the start, since both replicas of a pair are reset. By
        ``rule`` some differences are shortened, and some left out as if the neighbour were not there. What is usual is
        judged by all neighbours whose scores are known, also those that had nothing to send: else the few who always
        have would be the measure of one another.
        """
        spans = [span for _, span in self._network.score_layout.spans()]
        pulling = {name: peer for name in neighbours if not self._is_warming_up(peer := self._peer(name))}
        resting = [peer for name, peer in self._peers.items() if name not in pulling and peer.synchronized]
        known = [*pulling.values(), *(peer for peer in resting if peer.incoming.acknowledged and not peer.warming_up)]

        def difference(i: int) -> Tensor:
            return known[i].incoming.scores - known[i].outgoing.scores

        weights = robust_weights(difference, len(known), spans, rule)
        chosen = [i for i in range(len(pulling)) if i in weights]
        total = torch.zeros_like(self._seeded_scores)
        for i in chosen:
            pull = scaled(difference(i), weights[i], spans)
            total.add_(pull, alpha=step_size / (len(chosen) + len(resting) + 1))
        return total

    def forget(self, neighbours: Iterable[str]) -> None:
        """Drop the exchanges with these neighbours and the memory that they take."""
        for neighbour in neighbours:
            self._peers.pop(neighbour, None)

    def _applied(self, replica: Tensor, message: MaskMessage) -> AppliedStep:
        """Return what a step makes of a replica, which is left as it is."""
        scores = apply_step(replica, message.mask, step_of(message).scales)
        return AppliedStep(scores, checksum(scores))

    def _mask_of(self, replica: Tensor, counts: tuple[int, ...]) -> Mask:
        """Return the keep mask that follows from a replica and the keep counts of its layers."""
        scores = self._network.expand_scores(replica)
        return to_mask(top_k(scores, self._network.layout, counts), self._network.layout)

    def _quantized(self, replica: Tensor, scores: Tensor) -> QuantizedStep | None:
        """Return the step of a replica of our scores; None if it lacks too little of what was learned."""
        if distance(scores, replica) <= self._send_threshold * self._distance_learned(scores):
            return None
        return quantize(replica, scores, self._network.score_layout)

    def _take_step(self, peer: PeerReplicas, step: QuantizedStep, round_number: int) -> MaskMessage:
        outgoing = peer.outgoing
        outgoing.scores, outgoing.step_length = step.replica, step.length
        outgoing.sequence, outgoing.last_round_sent = outgoing.sequence + 1, round_number
        replica_step = ReplicaStep(
            epoch=peer.epoch,
            sequence=outgoing.sequence,
            acknowledged=peer.incoming.acknowledged,
            scales=step.scales,
            counts=self._network.counts,
            checksum=step.checksum,
        )
        message = MaskMessage(round_number, MaskKind.SIGN, step.signs, replica_step)
        outgoing.unacknowledged.append(message)
        return message

    def _is_warming_up(self, peer: PeerReplicas) -> bool:
        if peer.warming_up:
            peer.warming_up = any(
                replica.step_length > self._warm_up_limit * self._distance_learned(replica.scores)
                for replica in (peer.outgoing, peer.incoming)
            )
        return peer.warming_up

    def _distance_learned(self, scores: Tensor) -> float:
        """Return how far scores are from the seeded ones, mean over the scores."""
        return distance(scores, self._seeded_scores)

    def _peer(self, neighbour: str) -> PeerReplicas:
        if neighbour not in self._peers:
            self._peers[neighbour] = PeerReplicas.at(self._seeded_scores, warming_up=self.has_learned)
        return self._peers[neighbour]

    def _acknowledge(self, neighbour: str, *, epoch: int, sequence: int) -> None:
        """Take in the last step that a neighbour has applied; one that has reset and has no step says so by this."""
        peer = self._peer(neighbour)
        if epoch > peer.epoch:
            self._reset(neighbour, epoch=epoch)
        elif epoch == peer.epoch:
            peer.outgoing.unacknowledged = peer.outgoing.unacknowledged_after(sequence)

    def _reset(self, neighbour: str, *, epoch: int) -> PeerReplicas:
        self.resets += 1
        scores, late = self._seeded_scores, self.has_learned
        self._peers[neighbour] = PeerReplicas.at(scores, epoch=epoch, warming_up=late, synchronized=True)
        return self._peers[neighbour]
