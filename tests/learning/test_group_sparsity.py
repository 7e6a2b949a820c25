"""The group lasso's proximal step against the closed form; channels that die of it, and channels that are dropped."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from dslnode.learning import local_training, masking
from dslnode.learning.frozen_network import FrozenNetwork, frozen_weights
from dslnode.learning.group_sparsity import dead_channels, drop_thin_channels, living_counts, shrink_channels
from dslnode.learning.initialization import seeded_scores
from dslnode.learning.options import TrainingOptions
from dslnode.learning.personal_mask import aggregation_tensor, choose_mask
from dslnode.learning.state import LearnerState
from dslnode.protocol.mask import MaskLayer, MaskLayout
from tests.learning.data_sets import three_classes

LAYOUT = MaskLayout((MaskLayer("conv", (6, 3, 5, 5)), MaskLayer("inner", (7, 6)), MaskLayer("last", (4, 7))))
PLAN = TrainingOptions(local_steps=100, alpha=0.0)


def scores_of(sizes: list[float]) -> Tensor:
    """Return one score a weight in which output channel c has ``sizes[c]`` as its root mean square, in every layer."""
    scores = torch.randn(LAYOUT.size, generator=torch.Generator().manual_seed(0))
    for tensor in masking.tensors_of(scores, LAYOUT).values():
        for channel, size in zip(tensor, sizes, strict=False):
            channel.mul_(size / channel.square().mean().sqrt())
    return scores


SIZES = [0.0, 0.5, 0.99, 1.01, 2.0, 3.0, 4.0]


def test_the_step_is_the_proximal_operator_of_the_weighted_sum_of_norms() -> None:
    """It minimises ``0.5 ||x - S||^2 + strength * sum of sqrt(|g|) ||x_g||``, which has a closed form a group."""
    before = scores_of(SIZES)
    after = before.clone()
    shrink_channels(after, LAYOUT, 1.0, relative=False)
    tensors = masking.tensors_of(before, LAYOUT)
    for name, tensor in list(masking.tensors_of(after, LAYOUT).items())[:-1]:
        for channel, old in zip(tensor.flatten(1), tensors[name].flatten(1), strict=True):
            expected = old * max(0.0, 1 - math.sqrt(len(old)) / max(float(old.norm()), 1e-30))
            assert torch.allclose(channel, expected, atol=1e-5)
    assert torch.equal(after[-28:], before[-28:]), "the last layer's outputs are the classes"


def test_the_step_lowers_what_it_minimises() -> None:
    def objective(point: Tensor) -> Tensor:
        norms = [tensor.flatten(1).norm(dim=1).sum() * math.sqrt(tensor[0].numel()) for tensor in inner(point)]
        return 0.5 * (point - before).square().sum() + 0.7 * torch.stack(norms).sum()

    def inner(point: Tensor) -> list[Tensor]:
        return list(masking.tensors_of(point, LAYOUT).values())[:-1]

    before = scores_of(SIZES)
    best = before.clone()
    shrink_channels(best, LAYOUT, 0.7, relative=False)
    for seed in range(20):
        nudge = torch.randn(LAYOUT.size, generator=torch.Generator().manual_seed(seed))
        assert objective(best) < objective(best + 0.01 * nudge)


def test_a_relative_step_takes_the_same_part_of_any_layer_and_spares_the_best_channel() -> None:
    scores = scores_of(SIZES)
    larger = scores * 1000
    shrink_channels(scores, LAYOUT, 0.1, relative=True)
    shrink_channels(larger, LAYOUT, 0.1, relative=True)
    assert torch.allclose(larger, scores * 1000)
    size = math.sqrt(sum(size**2 for size in SIZES[:6]) / 5)  # over the living ones
    found = masking.tensors_of(scores, LAYOUT)["conv"].flatten(1).square().mean(dim=1).sqrt()
    assert found.tolist() == pytest.approx([max(0.0, old - 0.1 * size) for old in SIZES[:6]], abs=1e-5)
    for _ in range(150):
        shrink_channels(scores, LAYOUT, 0.1, relative=True)
    left = [tensor.flatten(1).any(dim=1).tolist() for tensor in masking.tensors_of(scores, LAYOUT).values()]
    assert left == [[False] * 5 + [True], [False] * 6 + [True], [False, True, True, True]]


def test_a_layer_of_zeros_stays_so() -> None:
    scores = torch.zeros(LAYOUT.size)
    for relative in (True, False):
        shrink_channels(scores, LAYOUT, 0.1, relative=relative)
    assert not scores.any()


def test_dead_channels_are_all_zero_and_their_share_is_not_dealt_out() -> None:
    scores = scores_of(SIZES)
    masking.tensors_of(scores, LAYOUT)["inner"][4] = 0
    masking.tensors_of(scores, LAYOUT)["inner"][5, 1:] = 0
    dead = masking.tensors_of(dead_channels(scores, LAYOUT), LAYOUT)
    assert [tensor.flatten(1).all(dim=1).nonzero().flatten().tolist() for tensor in dead.values()] == [[0], [0, 4], []]
    assert dead["conv"].sum() == 75
    assert living_counts(dead_channels(scores, LAYOUT), LAYOUT, (135, 14, 9)) == (135 - 22, 14 - 4, 9)


def test_thin_is_relative_to_keep_ratio_times_fan_in() -> None:
    """A channel with half its share is thin at 0.6, whatever the layer; the last layer's outputs are the classes."""
    layout = MaskLayout((MaskLayer("wide", (3, 100)), MaskLayer("narrow", (3, 10)), MaskLayer("last", (2, 10))))
    keep = torch.zeros(layout.size, dtype=torch.bool)
    tensors = masking.tensors_of(keep, layout)
    for channel, kept in enumerate((15, 30, 45)):
        tensors["wide"][channel, :kept] = True
        tensors["narrow"][channel, : round(kept / 10)] = True
    tensors["narrow"][0, 1] = False  # one weight instead of two
    tensors["last"][1, 0] = True
    before = keep.clone()

    def left(fraction: float) -> list[list[int]]:
        dropped = masking.tensors_of(drop_thin_channels(keep, layout, (90, 9, 6), fraction), layout)
        return [tensor.sum(dim=1).tolist() for tensor in dropped.values()]

    assert left(0.5) == [[15, 30, 45], [0, 3, 4], [0, 1]]
    assert left(0.6) == [[0, 30, 45], [0, 3, 4], [0, 1]]
    assert left(0.0) == [[15, 30, 45], [1, 3, 4], [0, 1]]
    assert torch.equal(keep, before), "the given mask is left alone"


def batches() -> Iterator[tuple[Tensor, Tensor]]:
    images = torch.rand(40, 6, generator=torch.Generator().manual_seed(0))
    labels = (images[:, 0] * 3).long()
    return itertools.cycle(zip(images.split(10), labels.split(10), strict=True))


def trained(plan: TrainingOptions, mean: float = 0.0) -> tuple[FrozenNetwork, LearnerState, Tensor]:
    """Train 24 hidden units on what one of six inputs tells; return also which units the mask leaves weights."""
    model = nn.Sequential(nn.Linear(6, 24, bias=False), nn.ReLU(), nn.Linear(24, 3, bias=False))
    layout = masking.layout_of(model)
    weights = frozen_weights(layout, 1, (0.5, 0.5))
    network = FrozenNetwork(
        model, layout, layout, None, weights, masking.keep_counts(layout, (0.5, 0.5)), torch.zeros(3)
    )
    velocity, squares, gradient = (torch.zeros(layout.size) for _ in range(3))
    scores = seeded_scores(layout, 1)
    state = LearnerState(scores, scores.clone(), velocity, squares, torch.full((layout.size,), mean), gradient)
    local_training.train_locally(network, state, three_classes(), plan, batches(), stop=lambda: False)
    keep = choose_mask(network, aggregation_tensor(network, state, plan), state.scores, plan)
    return network, state, keep


def units_of(vector: Tensor) -> Tensor:
    return vector[: 24 * 6].view(24, 6)


MOMENTUM = replace(PLAN, step_rule="momentum", learning_rate=0.1)


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize("plan", [replace(PLAN, group_lasso=3.0), replace(MOMENTUM, group_lasso=0.03)])
def test_groups_die_and_the_rest_keeps_its_ratio(plan: TrainingOptions, signed: bool) -> None:
    network, state, keep = trained(replace(plan, signed_scores=signed))
    dead = ~units_of(state.scores).any(dim=1)
    assert 3 <= int(dead.sum()) < 24
    assert not units_of(keep)[dead].any()
    assert int(units_of(keep).sum()) == int((~dead).sum()) * 3
    assert int(keep[24 * 6 :].sum()) == network.counts[1]


def test_without_the_lasso_nothing_dies() -> None:
    network, state, keep = trained(PLAN)
    assert units_of(state.scores).any(dim=1).all()
    assert int(keep.sum()) == sum(network.counts)


def test_neighbours_do_not_keep_a_dead_channel_alive() -> None:
    plan = replace(PLAN, group_lasso=3.0, alpha=50.0)
    network, state, _ = trained(plan)
    dead = ~units_of(state.scores).any(dim=1)
    units_of(state.neighbour_mean)[dead] = 1.0  # all neighbours keep just what is dead here
    keep = choose_mask(network, aggregation_tensor(network, state, plan), state.scores, plan)
    assert dead.any()
    assert not units_of(keep)[dead].any()
    assert units_of(keep)[~dead].any()
