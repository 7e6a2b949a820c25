"""The frames of the sign mask exchange, to values and back: replica steps, greetings, unchanged, holding."""

from __future__ import annotations

from dslnode.errors import PeerError
from dslnode.protocol.codec.mask_codec import CHECKSUM_BYTES, MAX_ROUND
from dslnode.protocol.messages import ExchangeState, ReplicaStep, Unchanged
from dslnode.v1 import node_pb2 as pb

MAX_LAYERS = 100_000


class StepCodec:
    """Codes the steps of one direction of a link. Keep counts travel only when they differ from the last step's."""

    def __init__(self) -> None:
        self._last_counts: tuple[int, ...] = ()

    def step_frame(self, step: ReplicaStep) -> pb.ReplicaStep:
        """Return the step as it travels in a sign mask's header."""
        changed_counts = () if step.counts == self._last_counts else step.counts
        self._last_counts = step.counts
        return pb.ReplicaStep(
            epoch=step.epoch,
            sequence=step.sequence,
            acknowledged=step.acknowledged,
            scales=step.scales,
            counts=changed_counts,
            checksum=step.checksum,
        )

    def read_step(self, step: pb.ReplicaStep) -> ReplicaStep:
        """Return the step. ``MaskAssembler`` checks its bounds; ``PeerError`` if it has more layers than any model."""
        if max(len(step.scales), len(step.counts)) > MAX_LAYERS:
            raise PeerError("bad_step", f"sent a step for more than {MAX_LAYERS} layers")
        self._last_counts = tuple(step.counts) or self._last_counts
        return ReplicaStep(
            epoch=step.epoch,
            sequence=step.sequence,
            acknowledged=step.acknowledged,
            scales=tuple(step.scales),
            counts=self._last_counts,
            checksum=step.checksum,
        )


def exchange_state_frame(state: ExchangeState) -> pb.Greeting:
    """Return the state as it travels: a greeting."""
    return pb.Greeting(epoch=state.epoch, held=state.acknowledged, checksum=state.checksum, opening=state.opening)


def read_exchange_state(greeting: pb.Greeting) -> ExchangeState:
    """Return the state in a greeting; ``PeerError`` if it is out of bounds."""
    if max(greeting.epoch, greeting.held) >= MAX_ROUND or len(greeting.checksum) != CHECKSUM_BYTES:
        raise PeerError("bad_step", "sent a greeting whose numbers or checksum are out of bounds")
    return ExchangeState(greeting.epoch, greeting.held, greeting.checksum, greeting.opening)


def unchanged_frame(unchanged: Unchanged) -> pb.Unchanged:
    """Return the message as it travels."""
    return pb.Unchanged(round=unchanged.round, epoch=unchanged.epoch, held=unchanged.acknowledged)


def read_unchanged(unchanged: pb.Unchanged) -> Unchanged:
    """Return the message; ``PeerError`` if it is out of bounds."""
    if max(unchanged.round, unchanged.epoch, unchanged.held) >= MAX_ROUND:
        raise PeerError("far_future", f"sent round {unchanged.round}; rounds end at {MAX_ROUND}")
    return Unchanged(unchanged.round, unchanged.epoch, unchanged.held)


def read_holding(holding: pb.Holding) -> bytes:
    """Return the digest of the reference that the sender holds, empty if none; ``PeerError`` at another length."""
    if len(holding.base) not in {0, CHECKSUM_BYTES}:
        raise PeerError("bad_holding", f"sent a digest of {len(holding.base)} bytes instead of {CHECKSUM_BYTES}")
    return holding.base
