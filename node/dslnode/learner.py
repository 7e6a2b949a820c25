"""One node's learner: owns model, scores, data and random numbers; synchronous, and knows of no network.

A round is: ``train`` (the mask to send is then ``mask``), then ``aggregate`` with what the neighbours sent.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dslnode import masking, training
from dslnode.aggregation import neighbour_mean
from dslnode.datasets import DataSet, Examples
from dslnode.errors import ModelError, StateError
from dslnode.mask import Mask, MaskLayout
from dslnode.training import FrozenNetwork, Progress, TrainedState, TrainingPlan

NEVER = -1e9  # a logit that never wins
MAX_REFERENCES = 16


@dataclass(frozen=True)
class Origin:
    """Where a node starts from. ``network_seed`` is shared by the run; ``node_seed`` is the node's own."""

    network_seed: int
    node_seed: int
    keep_ratio: float = 0.3
    linear_keep_ratio: float | None = None  # of layers with two dimensions; None: as keep_ratio
    layer_keep_ratios: tuple[tuple[str, float], ...] = ()  # (name pattern, ratio), the first match wins
    shared_scores: bool = True  # every node starts from the same seeded scores
    scale_kept: bool = True  # frozen weights scaled for the keep ratio; False: the framework's default scale
    random_first_mean: bool = False  # first neighbour mean is a Bernoulli draw, as the authors' is
    own_classes: bool = True  # train and answer over the classes of the node's own data only


class Learner:
    """Learns one node's mask. Not thread-safe: one thread owns it.

    Raises ``ModelError`` if the model has nothing to mask or does not fit the data.
    """

    def __init__(self, model: nn.Module, data: DataSet, plan: TrainingPlan, origin: Origin) -> None:
        layout = _checked_layout(model)
        self.plan = plan
        self.data = data
        self._origin = origin
        self._train = _tensors(data.train)
        self._held_out = None if data.held_out is None else _tensors(data.held_out)
        self.network = _frozen_network(model, layout, origin, data)
        self._references: dict[tuple[int, ...], Tensor] = {}
        self._state = _first_state(self.network, origin)
        self._try_model()
        self._update_mask()

    @property
    def layout(self) -> MaskLayout:
        """What the bits of this node's masks stand for."""
        return self.network.layout

    @property
    def mask(self) -> Mask:
        """The node's present mask; the personal model is the frozen network under it."""
        return self._mask

    @property
    def fingerprint(self) -> bytes:
        """16 bytes equal exactly where two nodes hold the same frozen network."""
        return masking.fingerprint(self.layout, self._origin.network_seed)

    def train(self, round_number: int, stop: Callable[[], bool]) -> Progress:
        """Run the local steps of a round. If ``stop`` ends it early, ``steps`` of the result is short."""
        batches = self._batches("local training", round_number)
        with _torch_draws("local training", self._origin.node_seed, round_number):
            progress = training.train_locally(self.network, self._state, self.plan, batches, stop)
        self._update_mask()
        return progress

    def aggregate(self, round_number: int, neighbours: Sequence[tuple[Mask, float]]) -> None:
        """Take the neighbours' masks (each with its weight) as the new neighbour mean, and fine-tune.

        With no neighbours the mean stays what it was: silence is no evidence against it.
        """
        if not neighbours:
            return
        mean = neighbour_mean(self.layout, neighbours)
        news = mean - self._common_ground(neighbours) if self.plan.novelty else mean
        self._state.neighbour_mean.mul_(self.plan.mean_memory).add_(news, alpha=1 - self.plan.mean_memory)
        batches = self._batches("fine-tuning", round_number)
        with _torch_draws("fine-tuning", self._origin.node_seed, round_number):
            training.fine_tune(self.network, self._state, mean, self.plan, batches)

    def accuracy(self, stop: Callable[[], bool]) -> float | None:
        """Return the personal accuracy on held-out data, 0 to 1; None if the node has none, or ``stop`` said so."""
        if self._held_out is None:
            return None
        return training.evaluate(self.network, self._keep, *self._held_out, stop)

    def export(self) -> nn.Module:
        """Return the personal model as a plain module with the mask baked into its weights."""
        return masking.bake(self.network.model, self.network.weights, self.mask)

    def state(self) -> dict[str, np.ndarray]:
        """Return copies of all that a checkpoint must hold, as arrays by name."""
        arrays = {
            "scores": self._state.scores,
            "velocity": self._state.velocity,
            "squares": self._state.squares,
            "neighbour_mean": self._state.neighbour_mean,
        }
        local = {f"local.{name}": tensor for name, tensor in self.network.model.state_dict().items()}
        masked = {f"local.{layer.name}" for layer in self.layout.layers}
        arrays.update({name: tensor for name, tensor in local.items() if name not in masked})
        arrays["steps"] = torch.tensor(self._state.steps)
        return {name: tensor.detach().numpy().copy() for name, tensor in arrays.items()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what ``state`` returned; ``StateError`` if it was made for another model."""
        expected = self.state()
        for name, array in expected.items():
            if name not in arrays or arrays[name].shape != array.shape:
                raise StateError(f"the saved state does not fit this model: {name} is missing or of another shape")
        tensors = {name: torch.from_numpy(np.array(arrays[name])) for name in expected}
        local = {name.removeprefix("local."): t for name, t in tensors.items() if name.startswith("local.")}
        self._state = TrainedState(
            scores=tensors["scores"],
            velocity=tensors["velocity"],
            squares=tensors["squares"],
            neighbour_mean=tensors["neighbour_mean"],
            gradient=torch.zeros(self.layout.size),
            steps=int(tensors["steps"]),
        )
        self.network.model.load_state_dict(local, strict=False)
        self._update_mask()

    def _common_ground(self, neighbours: Sequence[tuple[Mask, float]]) -> Tensor:
        """Return the mean of the masks that the neighbours started from.

        Everybody knows them from the seed and a mask's own counts, so only what a neighbour learned is left, and
        dense and sparse neighbours can be compared.
        """
        starts = [(self._seeded_mask(mask.layer_counts()), weight) for mask, weight in neighbours]
        total = sum(weight for _, weight in starts)
        return torch.stack([start * (weight / total) for start, weight in starts]).sum(dim=0)

    def _seeded_mask(self, counts: tuple[int, ...]) -> Tensor:
        if counts not in self._references:
            if len(self._references) >= MAX_REFERENCES:
                self._references.clear()
            self._references[counts] = masking.seeded_mask(self.layout, self._origin.network_seed, counts)
        return self._references[counts]

    def _update_mask(self) -> None:
        tensor = training.ranking(self.network, self._state, self.plan)
        self._keep = training.choose_mask(self.network, tensor, self.plan)
        self._mask = masking.to_mask(self._keep, self.layout)

    def _batches(self, purpose: str, round_number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield minibatches without end: shuffled epochs, drawn anew for every round so that a restart repeats them."""
        generator = _generator(purpose, self._origin.node_seed, round_number)
        images, labels = self._train
        size = min(self.plan.batch_size, len(labels))
        while True:
            order = torch.from_numpy(generator.permutation(len(labels)))
            for start in range(0, len(labels) - size + 1, size):
                chosen = order[start : start + size]
                yield images[chosen], labels[chosen]

    def _try_model(self) -> None:
        """Fail now, with a clear word, rather than in the first round."""
        images = self._train[0][:2]
        self.network.model.eval()
        try:
            with torch.no_grad():
                logits = self.network.model(images)
        except Exception as error:  # it is the user's code, so anything can come out of it
            raise ModelError(
                f"the model does not take inputs of shape {tuple(images.shape[1:])}: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(logits, Tensor) or logits.shape != (len(images), self.data.class_count):
            got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise ModelError(
                f"the model must return a tensor of shape (batch, {self.data.class_count}), one logit a class of "
                f"the data set; for a batch of {len(images)} it returned {got}"
            )


def _checked_layout(model: nn.Module) -> MaskLayout:
    if any(nn.parameter.is_lazy(parameter) for parameter in model.parameters()):
        raise ModelError("the model has lazy layers, whose weights have no shape yet; give their sizes")
    layout = masking.layout_of(model)
    if not layout.layers:
        raise ModelError("the model has no parameter with two dimensions or more, so there is nothing to mask")
    return layout


def _tensors(examples: Examples) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(examples.images), torch.from_numpy(examples.labels)


def _frozen_network(model: nn.Module, layout: MaskLayout, origin: Origin, data: DataSet) -> FrozenNetwork:
    ratios = masking.resolve_keep_ratios(
        layout, origin.keep_ratio, origin.linear_keep_ratio, dict(origin.layer_keep_ratios)
    )
    scale = masking.kept_scale if origin.scale_kept else masking.framework_scale
    weights = masking.frozen_weights(layout, origin.network_seed, ratios, scale)
    return FrozenNetwork(model, layout, weights, masking.keep_counts(layout, ratios), _logit_offset(origin, data))


def _logit_offset(origin: Origin, data: DataSet) -> Tensor:
    offset = torch.zeros(data.class_count)
    if origin.own_classes:
        offset += NEVER
        offset[np.unique(data.train.labels)] = 0
    return offset


def _first_state(network: FrozenNetwork, origin: Origin) -> TrainedState:
    layout = network.layout
    seed = origin.network_seed if origin.shared_scores else _own_seed(origin)
    mean = torch.zeros(layout.size)
    if origin.random_first_mean:
        draws = _generator("first mean", origin.node_seed, 0).random(layout.size, dtype=np.float32)
        for (layer, span), count in zip(layout.spans(), network.counts, strict=True):
            mean[span] = torch.from_numpy((draws[span] < count / layer.size).astype(np.float32))
    return TrainedState(
        scores=masking.seeded_scores(layout, seed),
        velocity=torch.zeros(layout.size),
        squares=torch.zeros(layout.size),
        neighbour_mean=mean,
        gradient=torch.zeros(layout.size),
    )


def _own_seed(origin: Origin) -> int:
    return int(_generator("own scores", origin.node_seed, origin.network_seed).integers(2**63))


@contextlib.contextmanager
def _torch_draws(purpose: str, seed: int, number: int) -> Iterator[None]:
    """Let what the model itself draws from torch (dropout) follow from the round, so that a restart repeats it."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(int(_generator(f"torch in {purpose}", seed, number).integers(2**63)))
        yield


def _generator(purpose: str, seed: int, number: int) -> np.random.Generator:
    key = hashlib.blake2b(f"dslnode {purpose} {seed} {number}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(key, "little")))
