"""Replicas and masks that several nodes of one process hold alike, held and computed once.

On boards both ends of a link compute the same replica. Here the sender's is handed to every receiver that held the same
before. What is handed over is what the receiver would have computed, to the bit: the checksum of every step proves it.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace

from torch import Tensor

from dslnode.learning.frozen_network import FrozenNetwork
from dslnode.learning.replica import QuantizedStep, checksum
from dslnode.learning.score_consensus import AppliedStep, ScoreConsensus
from dslnode.protocol.mask import Mask
from dslnode.protocol.messages import MaskMessage, step_of


@dataclass(frozen=True, eq=False)
class _KnownStep:
    """What a step made of a replica; neither is kept for it."""

    before: weakref.ref[Tensor]
    after: weakref.ref[Tensor]
    checksum: bytes


class SharedReplicas:
    """What the nodes of a simulation hold in common; nothing is kept that no node holds any more."""

    def __init__(self) -> None:
        self._tensors: weakref.WeakValueDictionary[bytes, Tensor] = weakref.WeakValueDictionary()
        self._steps: dict[int, _KnownStep] = {}  # by the identity of the signs
        self._masks: dict[tuple[int, tuple[int, ...]], Mask] = {}  # by the identity of the replica, and keep counts

    def __reduce__(self) -> tuple[type[SharedReplicas], tuple[()]]:
        """Let a copy begin empty: what nodes hold in common, their copies do, too."""
        return SharedReplicas, ()

    def tensor(self, tensor: Tensor, digest: bytes = b"") -> Tensor:
        """Return the one tensor of this content; ``digest`` is its checksum, if it is known."""
        return self._tensors.setdefault(digest or checksum(tensor), tensor)

    def remember(self, replica: Tensor, step: QuantizedStep) -> QuantizedStep:
        """Note what a step makes of a replica, for as long as its signs are on their way; return it with that shared.

        A node that quantizes twice in a round, since links opened one after the other, then holds one replica.
        """
        after = self.tensor(step.replica, step.checksum)
        self.remember_applied(replica, step.signs, AppliedStep(after, step.checksum))
        return replace(step, replica=after)

    def remember_applied(self, replica: Tensor, signs: Mask, applied: AppliedStep) -> None:
        """Note what signs make of a replica, for as long as they are on their way: of the first replica only."""
        if id(signs) not in self._steps:
            known = _KnownStep(weakref.ref(replica), weakref.ref(applied.replica), applied.checksum)
            self._steps[id(signs)] = known
            weakref.finalize(signs, self._steps.pop, id(signs), None).atexit = False

    def after(self, replica: Tensor, signs: Mask) -> AppliedStep | None:
        """Return what a step makes of this very replica, if that is known."""
        known = self._steps.get(id(signs))
        if known is None or known.before() is not replica:
            return None
        after = known.after()
        return None if after is None else AppliedStep(after, known.checksum)

    def mask(self, replica: Tensor, counts: tuple[int, ...]) -> Mask | None:
        """Return the keep mask that follows from this very replica, if it is known."""
        return self._masks.get((id(replica), counts))

    def remember_mask(self, replica: Tensor, counts: tuple[int, ...], mask: Mask) -> None:
        """Note the keep mask that follows from a replica, for as long as any node holds this."""
        key = (id(replica), counts)
        self._masks[key] = mask
        weakref.finalize(replica, self._masks.pop, key, None).atexit = False


class SharingConsensus(ScoreConsensus):
    """The exchanges of one node of a simulation: as a daemon's, with replicas shared by reference."""

    def __init__(
        self, network: FrozenNetwork, seeded_scores: Tensor, send_threshold: float, shared: SharedReplicas
    ) -> None:
        super().__init__(network, seeded_scores, send_threshold)
        self._seeded_scores = shared.tensor(self._seeded_scores)
        self._shared = shared

    def _quantized(self, replica: Tensor, scores: Tensor) -> QuantizedStep | None:
        step = super()._quantized(replica, scores)
        return None if step is None else self._shared.remember(replica, step)

    def _applied(self, replica: Tensor, message: MaskMessage) -> AppliedStep:
        known = self._shared.after(replica, message.mask)
        if known is not None:
            return known
        computed = super()._applied(replica, message)
        if computed.checksum != step_of(message).checksum:  # of no use to anybody
            return computed
        applied = AppliedStep(self._shared.tensor(computed.replica, computed.checksum), computed.checksum)
        self._shared.remember_applied(replica, message.mask, applied)  # the sender may be in another process
        return applied

    def _mask_of(self, replica: Tensor, counts: tuple[int, ...]) -> Mask:
        known = self._shared.mask(replica, counts)
        if known is None:
            known = super()._mask_of(replica, counts)
            self._shared.remember_mask(replica, counts, known)
        return known
