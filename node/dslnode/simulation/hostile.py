"""Hostile nodes: they keep to the protocol, so nothing is refused, and send scores that they did not learn."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dslnode.errors import SettingsError
from dslnode.protocol.messages import RoundMessage
from dslnode.simulation.virtual_learner import VirtualLearner

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
    """A neighbour that keeps to the protocol, and sends other scores than its own, or claims another density."""

    attack: Attack
    remembered: Tensor | None = None

    def make_steps(self, round_number: int, neighbours: Iterable[str]) -> dict[str, RoundMessage]:
        """Return sign masks of the attack's scores."""
        return self._consensus.make_steps(round_number, self.attack(self, round_number), neighbours)

    @property
    def learned(self) -> Tensor:
        """Difference of the scores from those that all start from."""
        return self._state.scores - self._consensus._seeded_scores

    def pretend(self, learned: Tensor) -> Tensor:
        """Return the scores of a node that has learned this difference."""
        return self._consensus._seeded_scores + learned

    def claim(self, part: float) -> None:
        """Claim to keep this part of every layer."""
        counts = tuple(max(1, round(part * layer.size)) for layer in self.layout.layers)
        self._consensus._network = replace(self.network, counts=counts)


Attack = Callable[[HostileLearner, int], Tensor]


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
