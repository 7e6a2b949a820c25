"""Replica steps and greetings as frames, and back: what belongs to the exchange of sign masks."""

from __future__ import annotations

from dslnode.errors import PeerError
from dslnode.protocol.codec.mask_codec import CHECKSUM_BYTES, MAX_ROUND
from dslnode.protocol.messages import ExchangeState, ReplicaStep, Unchanged
from dslnode.v1 import node_pb2 as pb

MAX_LAYERS = 100_000


class StepCodec:
    """The keep counts of the last step in one direction of a link: they travel only when they changed."""

    def __init__(self) -> None:
        self._last: tuple[int, ...] = ()

    def step_frame(self, step: ReplicaStep) -> pb.ReplicaStep:
        """Return the part of a sign mask's header that says what its bits do."""
        news = () if step.counts == self._last else step.counts
        self._last = step.counts
        return pb.ReplicaStep(
            epoch=step.epoch,
            sequence=step.sequence,
            acknowledged=step.acknowledged,
            scales=step.scales,
            counts=news,
            checksum=step.checksum,
        )

    def read_step(self, step: pb.ReplicaStep) -> ReplicaStep:
        """Return the step; the codec checks its bounds. Raises ``PeerError`` if no model has so many layers."""
        if max(len(step.scales), len(step.counts)) > MAX_LAYERS:
            raise PeerError("bad_step", f"sent a step for more than {MAX_LAYERS} layers")
        self._last = tuple(step.counts) or self._last
        return ReplicaStep(
            epoch=step.epoch,
            sequence=step.sequence,
            acknowledged=step.acknowledged,
            scales=tuple(step.scales),
            counts=self._last,
            checksum=step.checksum,
        )


def exchange_state_frame(greeting: ExchangeState) -> pb.Greeting:
    """Return the greeting as it travels."""
    return pb.Greeting(
        epoch=greeting.epoch, held=greeting.acknowledged, checksum=greeting.checksum, opening=greeting.opening
    )


def read_exchange_state(greeting: pb.Greeting) -> ExchangeState:
    """Return the greeting; ``PeerError`` if it is out of bounds."""
    if max(greeting.epoch, greeting.held) >= MAX_ROUND or len(greeting.checksum) != CHECKSUM_BYTES:
        raise PeerError("bad_step", "sent a greeting whose numbers or checksum are out of bounds")
    return ExchangeState(greeting.epoch, greeting.held, greeting.checksum, greeting.opening)


def unchanged_frame(unchanged: Unchanged) -> pb.Unchanged:
    """Return the word that nothing changed as it travels."""
    return pb.Unchanged(round=unchanged.round, epoch=unchanged.epoch, held=unchanged.acknowledged)


def read_unchanged(unchanged: pb.Unchanged) -> Unchanged:
    """Return the word that nothing changed; ``PeerError`` if it is out of bounds."""
    if max(unchanged.round, unchanged.epoch, unchanged.held) >= MAX_ROUND:
        raise PeerError("far_future", f"sent round {unchanged.round}; rounds end at {MAX_ROUND}")
    return Unchanged(unchanged.round, unchanged.epoch, unchanged.held)


def read_holding(holding: pb.Holding) -> bytes:
    """Return the digest of the base held, empty if there is none; ``PeerError`` if it has another length."""
    if len(holding.base) not in {0, CHECKSUM_BYTES}:
        raise PeerError("bad_holding", f"sent a digest of {len(holding.base)} bytes instead of {CHECKSUM_BYTES}")
    return holding.base
