"""The scales of channels against the lasso's optimum; channels that die of it, and channels that are dropped."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from dslnode.data.dataset import DataSet, load_data_set
from dslnode.data.partition import partition
from dslnode.errors import ModelError
from dslnode.inference.model_file import pack, unpack
from dslnode.inference.predictor import Predictor
from dslnode.learning import local_training, masking
from dslnode.learning.frozen_network import FrozenNetwork, frozen_weights, shared_layout
from dslnode.learning.group_sparsity import SCALE_RATE, ChannelScales, drop_thin_channels
from dslnode.learning.initialization import draw_sharing, initial_scores
from dslnode.learning.learner import Learner
from dslnode.learning.model_description import describe_model, personal_model
from dslnode.learning.options import Personal, TrainingOptions
from dslnode.learning.personal_mask import aggregation_tensor, choose_mask, training_mask
from dslnode.learning.state import LearnerState
from dslnode.protocol.events import NeighbourMasks
from dslnode.protocol.mask import MaskLayer, MaskLayout
from dslnode.protocol.messages import MaskMessage
from tests.learning.data_sets import three_classes

LAYOUT = MaskLayout((MaskLayer("conv", (6, 3, 5, 5)), MaskLayer("inner", (7, 6)), MaskLayer("last", (4, 7))))
CHANNELS = 13  # of the first two layers
PLAN = TrainingOptions(local_steps=100, alpha=0.0)


def test_a_weight_is_scaled_as_its_channel_is_and_the_last_layer_is_left_whole() -> None:
    channels = ChannelScales.at_one(LAYOUT)
    assert len(channels.scales) == CHANNELS
    channels.scales[:] = torch.arange(CHANNELS)
    found = masking.tensors_of(channels.of_weights(LAYOUT, whole=False), LAYOUT)
    assert torch.equal(found["conv"], torch.arange(6.0).view(6, 1, 1, 1).expand(6, 3, 5, 5))
    assert torch.equal(found["inner"], torch.arange(6.0, 13.0).view(7, 1).expand(7, 6))
    assert (found["last"] == 1).all()
    whole = masking.tensors_of(channels.of_weights(LAYOUT, whole=True), LAYOUT)
    assert torch.equal(whole["conv"], (found["conv"] > 0).float())


def test_gradients_are_those_that_autograd_finds_through_the_scales() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ELU(), nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 3))
    layout = masking.layout_of(model)
    channels = ChannelScales.at_one(layout)
    channels.scales.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(1))
    leaf = channels.scales.clone().requires_grad_()
    unscaled = (torch.randn(layout.size, generator=torch.Generator().manual_seed(2)) * 0.3).requires_grad_()
    spread = [leaf[:4].repeat_interleave(9), leaf[4:].repeat_interleave(64), torch.ones(15)]
    weights = masking.tensors_of(unscaled * torch.cat(spread), layout)
    images = torch.randn(8, 1, 6, 6, generator=torch.Generator().manual_seed(3))
    loss = functional_call(model, weights, (images,)).square().mean()
    at_scales, at_unscaled, *rest = torch.autograd.grad(loss, [leaf, unscaled, *weights.values()])
    at_weights = dict(zip(weights, rest, strict=True))
    through = torch.cat([gradient.flatten() for gradient in channels.through(at_weights, layout, whole=False).values()])
    assert torch.allclose(through, at_unscaled, atol=1e-6)

    before = channels.scales.clone()
    with torch.no_grad():
        channels.step(torch.cat([w.flatten() for w in weights.values()]), at_weights, layout, 0.02, whole=False)
    for own in (slice(0, 4), slice(4, 9)):  # the first step averages a tenth of the first gradient
        gradient = at_scales[own]
        expected = before[own] - SCALE_RATE / gradient.square().mean().sqrt() * (0.1 * gradient + 0.02)
        assert torch.allclose(channels.scales[own], expected.clamp(min=0), atol=1e-5)


def test_scales_end_where_the_penalised_loss_is_lowest() -> None:
    """``0.5 c (a - t)^2 + strength a`` is lowest at ``t - strength / c``, or at 0 if that is negative."""
    layout = MaskLayout((MaskLayer("inner", (4, 5)), MaskLayer("last", (2, 4))))
    curvature, target = torch.tensor([1.0, 1.0, 2.0, 0.5]), torch.tensor([1.4, 0.4, 1.0, 0.9])
    channels = ChannelScales.at_one(layout)
    unit = torch.full((4, 5), 1 / math.sqrt(5))
    for _ in range(3000):
        scales = channels.scales[:, None]
        at_weights = {"inner": curvature[:, None] * (scales - target[:, None]) * unit, "last": torch.ones(2, 4)}
        channels.step(torch.cat([(scales * unit).flatten(), torch.zeros(8)]), at_weights, layout, 0.5, whole=False)
    assert channels.scales.tolist() == pytest.approx([0.9, 0.0, 0.75, 0.0], abs=0.05)


def test_a_dead_channel_stays_dead_and_the_last_one_of_a_layer_alive() -> None:
    layout = MaskLayout((MaskLayer("inner", (3, 2)), MaskLayer("last", (2, 3))))
    channels, weights = ChannelScales.at_one(layout), torch.ones(12)
    loved = {"inner": torch.tensor([[1.0, 1.0], [-1.0, -1.0], [0.5, 0.5]]), "last": torch.zeros(2, 3)}
    channels.step(weights, loved, layout, 1e6, whole=False)
    assert channels.scales.tolist() == [0, 1, 0]
    for _ in range(20):
        channels.step(weights, {**loved, "inner": -torch.ones(3, 2)}, layout, 0.0, whole=False)
    assert channels.scales[[0, 2]].tolist() == [0, 0]
    assert channels.scales[1] > 1


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
    """Train 24 hidden units on what one of six inputs tells; return also the mask."""
    model = nn.Sequential(nn.Linear(6, 24, bias=False), nn.ReLU(), nn.Linear(24, 3, bias=False))
    layout = masking.layout_of(model)
    weights = frozen_weights(layout, 1, (0.5, 0.5))
    scores_layout = shared_layout(layout, 1)
    sharing = draw_sharing(layout, scores_layout, 1)
    counts = masking.keep_counts(layout, (0.5, 0.5))
    network = FrozenNetwork(model, layout, scores_layout, sharing, weights, counts, torch.zeros(3))
    velocity, squares, gradient = (torch.zeros(layout.size) for _ in range(3))
    scores = initial_scores(network, 1)
    means, channels = torch.full((layout.size,), mean), ChannelScales.at_one(layout)
    state = LearnerState(scores, scores.clone(), velocity, squares, means, gradient, channels)
    local_training.train_locally(network, state, three_classes(), plan, batches(), stop=lambda: False)
    return network, state, mask_of(network, state, plan)


def mask_of(network: FrozenNetwork, state: LearnerState, plan: TrainingOptions) -> Tensor:
    return choose_mask(network, aggregation_tensor(network, state, plan), state.channels, plan)


def units_of(vector: Tensor) -> Tensor:
    return vector[: 24 * 6].view(24, 6)


LASSO = replace(PLAN, group_lasso=0.03)
MOMENTUM = replace(LASSO, step_rule="momentum", learning_rate=0.1)


@pytest.mark.parametrize("plan", [LASSO, replace(LASSO, mask_power=0.0), MOMENTUM], ids=["graded", "binary", "sgd"])
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
def test_units_die_and_the_others_keep_what_they_kept(plan: TrainingOptions, signed: bool) -> None:
    plan = replace(plan, signed_scores=signed, mask_power=plan.mask_power if signed else None)
    network, state, keep = trained(plan)
    dead = state.channels.scales == 0
    assert 3 <= int(dead.sum()) < 24
    assert not units_of(keep)[dead].any()
    beside = mask_of(network, state, replace(plan, group_lasso=0.0))
    assert torch.equal(units_of(keep)[~dead], units_of(beside)[~dead])
    assert int(keep[24 * 6 :].sum()) == network.counts[1]


@pytest.mark.parametrize("form", ["binary", "levels"])
def test_what_is_trained_is_without_the_dead_and_scaled_if_the_personal_model_is(form: Personal) -> None:
    plan = replace(LASSO, personal=form)
    network, state, keep = trained(plan)
    tensor = aggregation_tensor(network, state, plan)
    found = training_mask(network, tensor, state.channels, plan)
    plain = training_mask(network, tensor, state.channels, replace(plan, group_lasso=0.0))
    assert torch.equal(found, plain * state.channels.of_weights(network.layout, whole=form == "binary"))
    assert not found[~keep].any()


def test_without_the_lasso_nothing_moves() -> None:
    network, state, keep = trained(PLAN)
    assert (state.channels.scales == 1).all()
    assert not state.channels.have_moved
    assert int(keep.sum()) == sum(network.counts)


def test_neighbours_do_not_keep_a_dead_channel_alive() -> None:
    plan = replace(LASSO, alpha=50.0)
    network, state, _ = trained(plan)
    dead = state.channels.scales == 0
    units_of(state.neighbour_mean)[dead] = 1.0  # all neighbours keep just what is dead here
    keep = mask_of(network, state, plan)
    assert dead.any()
    assert not units_of(keep)[dead].any()


@pytest.fixture(scope="module")
def digits() -> DataSet:
    return partition(load_data_set("digits"), share=(1, 4), seed=1)


def wide() -> nn.Module:
    """Return a model whose first layer is so large that its weights share scores."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 256, bias=False), nn.ReLU(), nn.Linear(256, 10, bias=False))


STRENGTH = 0.01


def learned(data: DataSet, form: Personal = "levels", rounds: int = 4) -> Learner:
    learner = Learner(wide(), data, TrainingOptions(personal=form, group_lasso=STRENGTH, local_steps=20))
    for _ in range(rounds):
        learner.train_round()
        learner.aggregate([])
    return learner


@pytest.mark.parametrize("form", ["binary", "levels", "graded"])
def test_what_is_scored_is_what_is_exported_and_what_a_file_answers(digits: DataSet, form: Personal) -> None:
    learner = learned(digits, form)
    assert learner.network.sharing is not None
    assert digits.held_out is not None
    images, labels = digits.held_out.images, digits.held_out.labels
    exported = learner.export()
    kept = masking.from_mask(learner.mask)[: 256 * 64].view(256, 64).any(dim=1)
    assert 0 < int(kept.sum()) < 250
    assert len(exported.model.get_parameter("1.weight")) <= int(kept.sum())
    file = unpack(pack(personal_model(learner, describe_model(learner, model="mlp"), best=False)))
    answered = Predictor(file).outputs(images.astype(np.float32)).argmax(axis=1)
    with torch.no_grad():
        assert np.array_equal(exported(torch.from_numpy(images)).argmax(dim=1).numpy(), answered)
    assert learner.score() == np.mean(answered == labels)


def test_a_binary_model_of_the_lasso_in_levels_has_the_scales_of_its_channels(digits: DataSet) -> None:
    learner = Learner(wide(), digits, TrainingOptions(mask_power=0.0, group_lasso=STRENGTH, local_steps=20))
    for _ in range(4):
        learner.train_round()
    assert learner.form.levels is not None
    strengths = learner.form.factors[: 256 * 64].view(256, 64)
    assert all(len(unit[unit > 0].unique()) <= 1 for unit in strengths)
    assert len(strengths.unique()) > 4


def test_a_restarted_node_goes_on_with_its_scales(digits: DataSet) -> None:
    learner, again = learned(digits), Learner(wide(), digits, TrainingOptions(group_lasso=STRENGTH, local_steps=20))
    again.restore(learner.state())
    assert torch.equal(again.form.factors, learner.form.factors)
    for node in (learner, again):
        node.train_round(4)
    assert again.mask == learner.mask
    assert torch.equal(again.form.factors, learner.form.factors)


def test_a_state_from_before_the_lasso_begins_with_all_channels(digits: DataSet) -> None:
    plain = Learner(wide(), digits, TrainingOptions(local_steps=20))
    plain.train_round()
    arrays = plain.state()
    assert not [name for name in arrays if name.startswith("channels.")]
    again = Learner(wide(), digits, TrainingOptions(group_lasso=STRENGTH, local_steps=20))
    again.restore(arrays)
    assert again.mask == plain.mask


def test_neighbours_without_the_lasso_hear_scores_as_ever(digits: DataSet) -> None:
    nodes = {"lasso": learned(digits, rounds=0), "plain": Learner(wide(), digits, TrainingOptions(local_steps=20))}
    pairs = (("lasso", "plain"), ("plain", "lasso"))
    states = {pair: nodes[pair[0]].open_exchange(pair[1]) for pair in pairs}
    for (me, peer), state in states.items():
        assert not nodes[peer].resynchronize(me, state)
    for number in range(4):
        for node in nodes.values():
            node.train_round(number)
        sent = {(me, peer): nodes[me].make_steps(number, [peer])[peer] for me, peer in pairs}
        for me, peer in pairs:
            message = sent[peer, me]
            assert isinstance(message, MaskMessage)
            masks = nodes[me].aggregate([NeighbourMasks(peer, None, (message,), 0)])
            assert masks[peer].layer_counts() == nodes[peer].network.counts, "dead channels are the node's own affair"
    assert [node.restarts for node in nodes.values()] == [0, 0]
    assert nodes["lasso"].mask.layer_counts()[0] < nodes["lasso"].network.counts[0]
    assert nodes["plain"].mask.layer_counts() == nodes["plain"].network.counts


def test_norms_that_undo_scales_are_refused(digits: DataSet) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    with pytest.raises(ModelError, match="1 is a BatchNorm2d, which undoes each channel's scale; set group_lasso to 0"):
        Learner(model, digits, TrainingOptions(group_lasso=0.003))


def test_a_node_that_begins_with_a_model_lacks_the_channels_that_the_model_lacks(digits: DataSet) -> None:
    learner = learned(digits)
    file = unpack(pack(personal_model(learner, describe_model(learner, model="mlp"), best=False)))
    new = Learner(wide(), digits, replace(learner.options, local_steps=1))
    new.begin_from(file)
    assert new.mask == learner.mask
    new.train_round()
    kept, wanted = (masking.from_mask(node.mask)[: 256 * 64].view(256, 64).any(dim=1) for node in (new, learner))
    assert not kept[~wanted].any()
    again = Learner(wide(), digits, new.options)
    again.restore(new.state())
    assert again.mask == new.mask
