"""A node's learner as the daemon has it, with everything that nodes have in common held once for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from dslnode.data.dataset import DataSet
from dslnode.learning.frozen_network import FrozenNetwork, ScoreSharing
from dslnode.learning.initial_masks import InitialMasks
from dslnode.learning.learner import Learner
from dslnode.learning.options import InitializationOptions, TrainingOptions
from dslnode.learning.pretrained import PretrainedNetwork
from dslnode.protocol.mask import Mask
from dslnode.simulation.shared_replicas import SharedReplicas, SharingConsensus

EXAMPLES = ("_examples", "_judge", "_aggregation_judge")
"""What a learner makes of its data."""


@dataclass(frozen=True, eq=False)
class FrozenTensors:
    """What of a frozen network is large: weights, and how they follow scores. It may be read-only memory."""

    weights: Tensor
    sharing: ScoreSharing | None

    @classmethod
    def of(cls, network: FrozenNetwork) -> FrozenTensors:
        """Return those of a network."""
        return cls(network.weights, network.sharing)


Counts = tuple[int, ...]
"""Keep counts per layer: they tell the networks of different keep ratios apart."""


class CommonParts:
    """What the nodes of one process share: frozen networks, one per keep ratio and classes; masks; replicas.

    ``frozen`` are tensors that processes share, by keep counts.
    """

    def __init__(self, frozen: Mapping[Counts, FrozenTensors] | None = None) -> None:
        self.replicas = SharedReplicas()
        self.frozen = dict(frozen or {})
        self._networks: dict[tuple[Counts, bytes], FrozenNetwork] = {}
        self._initial_masks: InitialMasks | None = None

    def network(self, own: FrozenNetwork) -> FrozenNetwork:
        """Return the network to use in place of one that a node built: equal, and shared as far as it is frozen."""
        key = (own.counts, own.logit_offset.numpy().tobytes())
        if key not in self._networks:
            like = next((known for known in self._networks.values() if known.counts == own.counts), own)
            large = self.frozen.setdefault(own.counts, FrozenTensors.of(own))
            self._networks[key] = replace(own, model=like.model, weights=large.weights, sharing=large.sharing)
        has_own_state = bool(own.local_parameters) or any(True for _ in own.model.buffers())
        return replace(self._networks[key], model=own.model) if has_own_state else self._networks[key]

    def initial_masks(self, own: InitialMasks) -> InitialMasks:
        """Return those of the first node: they follow from the seed, which all share."""
        if self._initial_masks is None:
            self._initial_masks = own
        return self._initial_masks


class VirtualLearner(Learner):
    """The learner of one simulated node. It learns what a daemon's does, to the bit."""

    def __init__(
        self,
        model: nn.Module,
        data: DataSet,
        options: TrainingOptions,
        initialization: InitializationOptions,
        *,
        common: CommonParts,
        pretrained: PretrainedNetwork | None = None,
    ) -> None:
        super().__init__(model, data, options, initialization, pretrained=pretrained)
        self._common = common
        self.network = common.network(self.network)
        self._initial_masks = common.initial_masks(self._initial_masks)
        self._begin_exchanges()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the tensors of the examples: they only show the data, which many nodes share."""
        return {name: value for name, value in self.__dict__.items() if name not in EXAMPLES}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make them anew."""
        self.__dict__.update(state)
        self._take_examples()

    def sent_mask(self, round_number: int) -> Mask:  # noqa: ARG002 (a lie may depend on it)
        """Return the keep mask that neighbours are sent after the local steps of this round."""
        return self.mask

    def restart(self) -> None:
        """Forget what a restarted daemon does not find in its state directory: the replicas of its neighbours."""
        has_learned = self._consensus.has_learned
        self._begin_exchanges()
        self._consensus.has_learned = has_learned

    def _begin_exchanges(self) -> None:
        seeded, threshold = self._consensus._seeded_scores, self.options.send_threshold
        self._consensus = SharingConsensus(self.network, seeded, threshold, self._common.replicas)
