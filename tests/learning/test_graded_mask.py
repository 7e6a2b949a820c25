"""Graded training: strengths of the kept weights, and a learner that trains with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dslnode.data.dataset import DataSet, Examples, load_data_set
from dslnode.data.partition import partition
from dslnode.learning.graded_mask import FEW_KEPT, layer_powers, strengths
from dslnode.learning.group_sparsity import ChannelScales
from dslnode.learning.initialization import seeded_scores
from dslnode.learning.learner import Learner
from dslnode.learning.masking import SAMPLED, keep_counts, top_k
from dslnode.learning.options import TrainingOptions
from dslnode.learning.personal_mask import choose_mask, training_mask
from dslnode.protocol.mask import MaskLayer, MaskLayout

LAYOUT = MaskLayout((MaskLayer("a", (40, 900)), MaskLayer("b", (8, 3, 5, 5))))
COUNTS = keep_counts(LAYOUT, (0.3, 0.5))
SEEDED = seeded_scores(LAYOUT, 4)


@pytest.mark.parametrize("power", [0.25, 0.3, 0.5, 1.0])
def test_seeded_scores_keep_a_root_mean_square_of_one(power: float) -> None:
    found = strengths(SEEDED, LAYOUT, COUNTS, (power, power))
    for (_, span), count in zip(LAYOUT.spans(), COUNTS, strict=True):
        assert float((found[span] ** 2).sum() / count) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("power", [0.25, 1.0])
def test_what_counts_is_what_the_mask_keeps_and_more_the_further_above_the_threshold(power: float) -> None:
    found = strengths(SEEDED, LAYOUT, COUNTS, (power, power))
    keep = top_k(SEEDED, LAYOUT, COUNTS)
    for (layer, span), count in zip(LAYOUT.spans(), COUNTS, strict=True):
        counted = found[span] > 0
        if layer.size <= SAMPLED:
            assert int(counted.sum()) == count - 1, "the one at the threshold itself counts nothing"
            assert not (counted & ~keep[span]).any()
        assert int((counted ^ keep[span]).sum()) < 0.05 * count
        assert bool((found[span][SEEDED[span].argsort()].diff() >= 0).all())


def test_the_power_is_that_of_the_distance() -> None:
    root, plain = (strengths(SEEDED, LAYOUT, COUNTS, (power, power)).double() for power in (0.25, 1.0))
    for _, span in LAYOUT.spans():
        kept = plain[span] > 0
        ratio = root[span][kept] / plain[span][kept] ** 0.25
        assert torch.allclose(ratio, ratio[0].expand_as(ratio), rtol=1e-5)


def test_a_layer_without_a_power_is_binary() -> None:
    found = strengths(SEEDED, LAYOUT, COUNTS, (0.25, 0.0))
    (_, graded), (_, binary) = LAYOUT.spans()
    assert len(found[graded].unique()) > 1000
    assert set(found[binary].tolist()) == {0.0, 1.0}


def test_all_seeded_layers_are_graded_but_convolutions_of_a_binary_model() -> None:
    data = DataSet(Examples(np.zeros((4, 1, 28, 28), np.float32), np.arange(4)), None, 4, "blank")
    network = Learner("cnn", data).network
    convolutions = tuple(len(layer.shape) > 2 for layer in network.layout.layers)
    assert set(convolutions) == {True, False}
    assert layer_powers(network, TrainingOptions(mask_power=0.25)) == (0.25,) * len(convolutions)
    binary = TrainingOptions(mask_power=0.25, personal="binary")
    assert layer_powers(network, binary) == tuple(0.0 if convolution else 0.25 for convolution in convolutions)
    trained = training_mask(
        network,
        network.expand_scores(torch.zeros(network.score_layout.size)),
        ChannelScales.at_one(network.layout),
        binary,
    )
    for (_, span), convolution in zip(network.layout.spans(), convolutions, strict=True):
        assert (len(trained[span].unique()) == 2) == convolution


def test_a_layer_that_keeps_one_weight_is_trained_with_it(digits: DataSet) -> None:
    narrow = nn.Sequential(nn.Flatten(), nn.Linear(64, 1, bias=False), nn.Linear(1, 2), nn.Linear(2, 10))
    learner = Learner(narrow, digits, TrainingOptions(local_steps=2))
    learner.train_round()
    few = [count < FEW_KEPT for count in learner.network.counts]
    assert set(few) == {True, False}
    network, options = learner.network, learner.options
    tensor = network.expand_scores(torch.from_numpy(learner.state()["scores"]))
    found = training_mask(network, tensor, ChannelScales.at_one(network.layout), options)
    assert all(found[span].any() for _, span in network.layout.spans())
    assert [power == 0 for power in layer_powers(network, options)] == few


def test_the_tensor_itself_stays_as_it_was() -> None:
    before = SEEDED.clone()
    strengths(SEEDED, LAYOUT, COUNTS, (0.5, 0.5))
    assert torch.equal(SEEDED, before)


def test_scores_that_are_all_alike_give_no_strength_and_no_warning() -> None:
    with np.errstate(all="raise"):
        assert not strengths(torch.zeros(LAYOUT.size), LAYOUT, COUNTS, (0.25, 0.25)).any()


@pytest.fixture(scope="module")
def digits() -> DataSet:
    return partition(load_data_set("digits"), share=(1, 4), seed=1)


def test_a_learner_trains_graded_and_its_personal_model_may_be_binary(digits: DataSet) -> None:
    learners = [
        Learner("mlp", digits, TrainingOptions(mask_power=power, personal="binary", local_steps=20))
        for power in (0.0, 0.25)
    ]
    for learner in learners:
        for _ in range(3):
            learner.train_round()
            learner.aggregate([])
    binary, graded = learners
    assert binary.mask != graded.mask
    assert binary.mask.layer_counts() == graded.mask.layer_counts()
    score = graded.score()
    assert score is not None
    assert score > 0.8
    weights = graded.export().state_dict()["model.1.weight"]
    assert len(torch.unique(weights.abs())) == 2  # 0 and the layer's constant


def test_structured_sparsity_decides_which_weights_may_have_strengths(digits: DataSet) -> None:
    options = TrainingOptions(mask_power=0.25, min_channel_fraction=0.9)
    learner = Learner("mlp", digits, options)
    network, tensor = learner.network, torch.from_numpy(learner.state()["scores"])
    spread, channels = network.expand_scores(tensor), ChannelScales.at_one(network.layout)
    graded = training_mask(network, spread, channels, options)
    allowed = choose_mask(network, spread, channels, options)
    assert not graded[~allowed].any()
    assert int(allowed.sum()) < sum(network.counts)
