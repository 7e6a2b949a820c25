"""One node's learner: owns model, scores, data and random numbers; synchronous, and knows of no network.

A round is: ``train`` (``mask`` and ``signs`` are then what to send), then ``aggregate`` with what the neighbours
sent; ``mask`` is then the personal model's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from dslnode.data.dataset import DataSet
from dslnode.errors import StateError
from dslnode.learning import collaboration, local_training, masking
from dslnode.learning.aggregation import neighbour_mean, robust_masks
from dslnode.learning.batches import ExampleTensors
from dslnode.learning.evaluation import EVALUATION_BATCH, evaluate
from dslnode.learning.export import PersonalModel, bake
from dslnode.learning.fine_tuning import fine_tune
from dslnode.learning.frozen_network import fingerprint
from dslnode.learning.initial_masks import InitialMasks
from dslnode.learning.initialization import frozen_network, initial_state
from dslnode.learning.model_check import check_model
from dslnode.learning.options import InitializationOptions, TrainingOptions
from dslnode.learning.personal_mask import choose_mask, ranking
from dslnode.learning.pruning import prune_dead_units
from dslnode.learning.results import Progress
from dslnode.learning.rng import generator, torch_draws
from dslnode.learning.score_consensus import ScoreConsensus
from dslnode.learning.state import LearnerState
from dslnode.protocol.events import NeighbourMasks
from dslnode.protocol.mask import Mask, MaskLayout
from dslnode.protocol.messages import ExchangeState, MaskKind, MaskMessage, RoundMessage

HALF_WEIGHT_EXAMPLES = 300
"""A node with so many training examples moves half as far towards its neighbours' scores as one with hardly any."""
JUDGED_EXAMPLES = 256  # held-out examples by which the node judges what aggregation did to its personal model
PROBE_EXAMPLES = 32  # training images by which the exported model is checked


class Learner:
    """Learns one node's mask. Not thread-safe: one thread owns it.

    Raises ``ModelError`` if the model has nothing to mask or does not fit the data.
    """

    def __init__(self, model: nn.Module, data: DataSet, plan: TrainingOptions, origin: InitializationOptions) -> None:
        layout = check_model(model, data, plan.batch_size)
        self.plan = plan
        self.data = data
        self._origin = origin
        self._train = ExampleTensors.of(data.train)
        self._held_out = None if data.held_out is None else ExampleTensors.of(data.held_out)
        self._judges = (
            self._held_out.thinned(JUDGED_EXAMPLES) if self._held_out and plan.adaptive_collaboration else None
        )
        self.network = frozen_network(model, layout, origin, data)
        self._ground = InitialMasks(layout, origin.network_seed)
        self._state = initial_state(self.network, origin)
        self._consensus = ScoreConsensus(self.network, self._state.scores, plan.send_threshold)
        self._update_mask()
        self.start = self.mask  # what the node keeps before it learned anything

    @property
    def layout(self) -> MaskLayout:
        """What the bits of this node's masks stand for."""
        return self.network.layout

    @property
    def layouts(self) -> dict[MaskKind, MaskLayout]:
        """What the bits of each kind of mask stand for: weights, or scores."""
        return {MaskKind.KEEP: self.network.layout, MaskKind.SIGN: self.network.score_layout}

    @property
    def mask(self) -> Mask:
        """The node's newest mask; the personal model is the frozen network under it."""
        return self._mask

    @property
    def leaning(self) -> float:
        """How far the node leans on its neighbours, 0 to 1."""
        return self._state.leaning

    @property
    def restarts(self) -> int:
        """How often replicas that this node shares with a neighbour had to begin anew."""
        return self._consensus.restarts

    @cached_property
    def fingerprint(self) -> bytes:
        """16 bytes equal exactly where two nodes hold the same frozen network."""
        return fingerprint(self.layout, self.network.score_layout, self._origin.network_seed)

    def train(self, round_number: int, stop: Callable[[], bool]) -> Progress:
        """Run the local steps of a round. If ``stop`` ends it early, ``steps`` of the result is short."""
        batches = self._batches("local training", round_number)
        with torch_draws("local training", self._origin.node_seed, round_number):
            progress = local_training.train_locally(self.network, self._state, self.plan, batches, stop)
        self._consensus.learned = True
        self._update_mask()
        return progress

    def open_exchange(self, neighbour: str) -> ExchangeState:
        """Return what this node holds of a neighbour's scores: the first word on every new link."""
        return self._consensus.open_exchange(neighbour)

    def resynchronize(self, neighbour: str, greeting: ExchangeState) -> list[MaskMessage]:
        """Take in a neighbour's greeting; return the sign masks that it lost."""
        return self._consensus.resynchronize(neighbour, greeting)

    def make_steps(self, round_number: int, neighbours: Iterable[str]) -> dict[str, RoundMessage]:
        """Return the sign mask to send to each neighbour that keeps up."""
        return self._consensus.make_steps(round_number, self._state.scores, neighbours)

    def forget(self, neighbours: Iterable[str]) -> None:
        """Drop what is kept of the scores of neighbours that are gone for good."""
        self._consensus.forget(neighbours)

    def aggregate(self, round_number: int, heard: Sequence[NeighbourMasks]) -> dict[str, Mask]:
        """Take in what neighbours sent: scores move towards theirs, their masks make the new neighbour mean.

        A mask weighs half as much for every round of staleness. With no masks the mean stays what it was: silence is
        no evidence against it. What makes the personal model worse on held-out data moves the scores, from which
        the next steps are taken, but neither their average nor the mean, and the node leans less from then on.
        Returns the masks, by neighbour, whether believed or not.
        """
        if self._judges is None or not heard:
            return self._take_in(round_number, heard)
        average, mean = self._state.average.clone(), self._state.neighbour_mean.clone()
        before = self._judged(self._judges)
        known = self._take_in(round_number, heard)
        worse = collaboration.is_worse(before, self._judged(self._judges), len(self._judges))
        self._state.leaning = collaboration.adapted(self._state.leaning, worse=worse)
        if worse:
            self._state.average, self._state.neighbour_mean = average, mean
            self._update_mask()
        return known

    def _take_in(self, round_number: int, heard: Sequence[NeighbourMasks]) -> dict[str, Mask]:
        self._agree(heard)
        found = [(one, self._mask_of(one)) for one in heard]
        known = {one.peer: (mask, 0.5**one.staleness) for one, mask in found if mask is not None}
        if known:
            ground = self._ground.mask if self.plan.mask_novelty else None
            self._take_mean(round_number, robust_masks(list(known.values()), ground, self.plan.robust_aggregation))
        self._update_mask()
        return {peer: mask for peer, (mask, _) in known.items()}

    def _judged(self, judges: ExampleTensors) -> float:
        accuracy = self._measure(judges, lambda: False)
        assert accuracy is not None, "nothing stops it"
        return accuracy

    def _agree(self, heard: Sequence[NeighbourMasks]) -> None:
        for one in heard:
            for message in one.signs:
                self._consensus.apply_step(one.peer, message)
        strength = self._state.leaning * self.plan.consensus_step_size / (1 + len(self._train) / HALF_WEIGHT_EXAMPLES)
        speakers = [one.peer for one in heard if one.signs]
        self._state.shift(self._consensus.consensus_step(speakers, strength, self.plan.robust_aggregation))

    def _mask_of(self, heard: NeighbourMasks) -> Mask | None:
        return heard.mask if heard.mask is not None else self._consensus.implied_mask(heard.peer)

    def _take_mean(self, round_number: int, neighbours: Sequence[tuple[Mask, float]]) -> None:
        mean = neighbour_mean(self.layout, neighbours)
        news = mean - self._ground.mean(neighbours) if self.plan.mask_novelty else mean
        self._state.neighbour_mean.mul_(self.plan.mean_ema_decay).add_(news, alpha=1 - self.plan.mean_ema_decay)
        batches = self._batches("fine-tuning", round_number)
        with torch_draws("fine-tuning", self._origin.node_seed, round_number):
            fine_tune(self.network, self._state, mean, self.plan, batches)

    def accuracy(self, stop: Callable[[], bool]) -> float | None:
        """Return the personal accuracy on held-out data, 0 to 1; None if the node has none, or ``stop`` said so."""
        return None if self._held_out is None else self._measure(self._held_out, stop)

    def _measure(self, samples: ExampleTensors, stop: Callable[[], bool]) -> float | None:
        return evaluate(self.network, self._keep, samples.parts(EVALUATION_BATCH), stop)

    def export(self) -> PersonalModel:
        """Return the personal model as a plain module for evaluation, its answers this node's.

        The mask is baked into its weights, and it is smaller by the units that the mask left dead.
        """
        baked = bake(self.network.model, self.network.weights, self.mask)
        images, _ = self._train.at(slice(PROBE_EXAMPLES))
        return PersonalModel(prune_dead_units(baked, images), self.network.logit_offset).eval()

    def state(self) -> dict[str, np.ndarray]:
        """Return copies of all that a checkpoint must hold, as arrays by name."""
        arrays = {
            "scores": self._state.scores,
            "average": self._state.average,
            "velocity": self._state.velocity,
            "squares": self._state.squares,
            "neighbour_mean": self._state.neighbour_mean,
        }
        local = {f"local.{name}": tensor for name, tensor in self.network.model.state_dict().items()}
        masked = {f"local.{layer.name}" for layer in self.layout.layers}
        arrays.update({name: tensor for name, tensor in local.items() if name not in masked})
        arrays["steps"] = torch.tensor(self._state.steps)
        arrays["leaning"] = torch.tensor(self._state.leaning, dtype=torch.float64)
        return {name: tensor.detach().numpy().copy() for name, tensor in arrays.items()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what ``state`` returned; ``StateError`` if it was made for another model."""
        expected = self.state()
        arrays = {"leaning": np.array(1.0), **arrays}  # older states lack it: those nodes leaned as far as they could
        for name, array in expected.items():
            if name not in arrays or arrays[name].shape != array.shape:
                raise StateError(f"the saved state does not fit this model: {name} is missing or of another shape")
        tensors = {name: torch.from_numpy(np.array(arrays[name])) for name in expected}
        local = {name.removeprefix("local."): t for name, t in tensors.items() if name.startswith("local.")}
        self._state = LearnerState(
            scores=tensors["scores"],
            average=tensors["average"],
            velocity=tensors["velocity"],
            squares=tensors["squares"],
            neighbour_mean=tensors["neighbour_mean"],
            gradient=torch.zeros(self.layout.size),
            steps=int(tensors["steps"]),
            leaning=float(tensors["leaning"]),
        )
        self.network.model.load_state_dict(local, strict=False)
        self._consensus.learned = self._state.steps > 0
        self._update_mask()

    def _update_mask(self) -> None:
        tensor = ranking(self.network, self._state, self.plan)
        self._keep = choose_mask(self.network, tensor, self._state.scores, self.plan)
        self._mask = masking.to_mask(self._keep, self.layout)

    def _batches(self, purpose: str, round_number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield minibatches without end: shuffled epochs, drawn anew for every round so that a restart repeats them."""
        draws = generator(purpose, self._origin.node_seed, round_number)
        count = len(self._train)
        size = min(self.plan.batch_size, count)
        while True:
            order = torch.from_numpy(draws.permutation(count))
            for start in range(0, count - size + 1, size):
                yield self._train.at(order[start : start + size])
