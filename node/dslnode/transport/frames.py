"""Replica steps and greetings as frames, and back: what belongs to the exchange of sign masks."""

from __future__ import annotations

from dslnode.codec import CHECKSUM_BYTES, MAX_ROUND
from dslnode.errors import PeerError
from dslnode.mask import Greeting, ReplicaStep
from dslnode.v1 import node_pb2 as pb

MAX_LAYERS = 100_000


def step_frame(step: ReplicaStep) -> pb.ReplicaStep:
    """Return the part of a sign mask's header that says what its bits do."""
    return pb.ReplicaStep(
        epoch=step.epoch,
        sequence=step.sequence,
        acknowledged=step.acknowledged,
        scales=step.scales,
        counts=step.counts,
        checksum=step.checksum,
    )


def read_step(step: pb.ReplicaStep) -> ReplicaStep:
    """Return the step; the codec checks its bounds. Raises ``PeerError`` if no model has so many layers."""
    if max(len(step.scales), len(step.counts)) > MAX_LAYERS:
        raise PeerError("bad_step", f"sent a step for more than {MAX_LAYERS} layers")
    return ReplicaStep(
        step.epoch, step.sequence, step.acknowledged, tuple(step.scales), tuple(step.counts), step.checksum
    )


def greeting_frame(greeting: Greeting) -> pb.Greeting:
    """Return the greeting as it travels."""
    return pb.Greeting(epoch=greeting.epoch, held=greeting.held, checksum=greeting.checksum, opening=greeting.opening)


def read_greeting(greeting: pb.Greeting) -> Greeting:
    """Return the greeting; ``PeerError`` if it is out of bounds."""
    if max(greeting.epoch, greeting.held) >= MAX_ROUND or len(greeting.checksum) != CHECKSUM_BYTES:
        raise PeerError("bad_step", "sent a greeting whose numbers or checksum are out of bounds")
    return Greeting(greeting.epoch, greeting.held, greeting.checksum, greeting.opening)
