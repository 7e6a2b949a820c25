"""Hostile nodes: they keep to the protocol, so nothing is refused, and send scores or masks that they did not learn.

Where sign masks travel, an attack says which scores they are made of. Where keep masks travel, it says which weights
they keep: as many per layer as the node keeps itself, unless the lie is about just that. Receivers take any number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dslnode.errors import SettingsError
from dslnode.learning.masking import to_mask, top_k
from dslnode.learning.personal_mask import aggregation_tensor
from dslnode.protocol.codec.mask_codec import MAX_SCALE
from dslnode.protocol.mask import Mask
from dslnode.protocol.messages import RoundMessage
from dslnode.simulation.virtual_learner import VirtualLearner

LARGEST = MAX_SCALE / 2
"""Of a score that is pretended: no step is then longer than a decoder takes."""
LOUD = 10.0
"""Factor by which a loud node exaggerates."""
DENSE_PART = 0.9
"""Part of the weights that a dense node claims to keep."""
SILENT = "silent"
"""The kind of node that sends nothing, and is not linked: it shows what the loss of its honest help alone costs."""


@dataclass(frozen=True)
class Hostility:
    """The part of the nodes that is hostile, 0 to 1, and what they do."""

    share: float
    kind: str


class HostileLearner(VirtualLearner):
    """A neighbour that keeps to the protocol, and sends other scores and masks than its own, or another density."""

    attack: Attack
    remembered: Tensor | None = None
    mask_attack: MaskAttack
    remembered_mask: Mask | None = None

    def make_steps(self, round_number: int, neighbours: Iterable[str]) -> dict[str, RoundMessage]:
        """Return sign masks of the attack's scores."""
        return self._consensus.make_steps(round_number, self.attack(self, round_number), neighbours)

    def sent_mask(self, round_number: int) -> Mask:
        """Return the attack's keep mask."""
        return self.mask_attack(self, round_number)

    @property
    def learned(self) -> Tensor:
        """Difference of the scores from those that all start from."""
        return self._state.scores - self._consensus._seeded_scores

    def pretend(self, learned: Tensor) -> Tensor:
        """Return the scores of a node that has learned this difference, as far as receivers take the steps to them."""
        return (self._consensus._seeded_scores + learned).clamp(-LARGEST, LARGEST)

    def counts_of(self, part: float) -> tuple[int, ...]:
        """Return how many weights of each layer this part is."""
        return tuple(max(1, round(part * layer.size)) for layer in self.layout.layers)

    def claim(self, part: float) -> None:
        """Claim to keep this part of every layer."""
        self._consensus._network = replace(self.network, counts=self.counts_of(part))

    @property
    def ranking(self) -> Tensor:
        """What this node's mask keeps the largest entries of, (weights,)."""
        return aggregation_tensor(self.network, self._state, self.options)

    def mask_by(self, ranking: Tensor, counts: tuple[int, ...] | None = None) -> Mask:
        """Return the mask of the largest entries of a ranking, (weights,): by default as many as this node keeps."""
        return to_mask(top_k(ranking, self.layout, counts or self.mask.layer_counts()), self.layout)


Attack = Callable[[HostileLearner, int], Tensor]
"""The scores that a hostile node pretends to have after the local steps of this round."""
MaskAttack = Callable[[HostileLearner, int], Mask]
"""The keep mask that a hostile node sends after the local steps of this round."""


def parse_hostility(text: str) -> Hostility:
    """Return the hostility of ``0.2:inverted``. Raises ``SettingsError`` if there is none of this form."""
    share, _, kind = text.partition(":")
    try:
        part = float(share)
    except ValueError:
        part = -1.0
    if not 0 <= part <= 1 or kind not in (*ATTACKS, SILENT):
        kinds = ", ".join((*ATTACKS, SILENT))
        raise SettingsError(f"--hostile {text}: needs a part from 0 to 1 and one of {kinds}, as 0.2:inverted")
    return Hostility(part, kind)


def hostile_nodes(count: int, share: float, seed: int) -> list[int]:
    """Return the hostile nodes: the first ones of a fixed order, so that a larger share contains the smaller ones."""
    order = np.random.Generator(np.random.PCG64(seed)).permutation(count)
    return [int(node) for node in order[: round(share * count)]]


def _random(node: HostileLearner, number: int) -> Tensor:
    """Send noise, another every round, as far from the start as learned scores."""
    noise = torch.randn(node.learned.shape, generator=torch.Generator().manual_seed(number))
    return node.pretend(noise * node.learned.square().mean().sqrt())


def _constant(node: HostileLearner, number: int) -> Tensor:
    """Send scores that all rise, round after round: sign masks of ones only."""
    return node.pretend(torch.full_like(node.learned, float(node.learned.abs().mean()) * (number + 1)))


def _inverted(node: HostileLearner, _: int) -> Tensor:
    """Send the opposite of what was learned."""
    return node.pretend(-node.learned)


def _loud(node: HostileLearner, _: int) -> Tensor:
    """Send the opposite, ``LOUD`` times as far."""
    return node.pretend(-LOUD * node.learned)


def _replayed(node: HostileLearner, number: int) -> Tensor:
    """Send the scores of the first round for ever."""
    if node.remembered is None or number == 0:
        node.remembered = node.pretend(node.learned)
    return node.remembered


def _dense(node: HostileLearner, _: int) -> Tensor:
    """Send the opposite, and claim to keep nine tenths of the weights, not three."""
    node.claim(DENSE_PART)
    return node.pretend(-node.learned)


ATTACKS: dict[str, Attack] = {
    "random": _random,
    "constant": _constant,
    "inverted": _inverted,
    "loud": _loud,
    "replayed": _replayed,
    "dense": _dense,
}
"""What hostile nodes do, by the name of their kind."""


def _random_mask(node: HostileLearner, number: int) -> Mask:
    """Keep weights at random, others every round."""
    return node.mask_by(torch.rand(node.layout.size, generator=torch.Generator().manual_seed(number)))


def _constant_mask(node: HostileLearner, _: int) -> Mask:
    """Keep the first weights of every layer, as all nodes of this kind do in all rounds."""
    return node.mask_by(torch.zeros(node.layout.size))  # among equals the first are kept


def _inverted_mask(node: HostileLearner, _: int) -> Mask:
    """Keep the weights that the node itself would drop first."""
    return node.mask_by(-node.ranking)


def _replayed_mask(node: HostileLearner, number: int) -> Mask:
    """Send the mask of the first round for ever."""
    if node.remembered_mask is None or number == 0:
        node.remembered_mask = node.mask
    return node.remembered_mask


def _dense_mask(node: HostileLearner, _: int) -> Mask:
    """Keep nine tenths of the weights, not three: those that the node itself would drop first."""
    return node.mask_by(-node.ranking, node.counts_of(DENSE_PART))


MASK_ATTACKS: dict[str, MaskAttack] = {
    "random": _random_mask,
    "constant": _constant_mask,
    "inverted": _inverted_mask,
    "loud": _inverted_mask,
    "replayed": _replayed_mask,
    "dense": _dense_mask,
}
"""What hostile nodes send as keep masks, by their kind. A mask cannot exaggerate: loud ones are inverted."""
