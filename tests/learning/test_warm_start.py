"""A learner that begins with another's model answers as that one does, and goes on from there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dslnode.data.dataset import DataSet, Examples, load_data_set
from dslnode.data.partition import partition
from dslnode.errors import ModelError
from dslnode.inference.model_file import pack, unpack
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.learning.learner import Learner
from dslnode.learning.model_description import describe_model, personal_model
from dslnode.learning.options import InitializationOptions, TrainingOptions
from dslnode.learning.warm_start import begin_from
from dslnode.protocol.messages import MaskMessage

ROUNDS = 4
AUTHORS = TrainingOptions(signed_scores=False)
DENSER = InitializationOptions(network_seed=3, node_seed=3, keep_ratio=0.5)


def digits(number: int) -> DataSet:
    return partition(load_data_set("digits"), share=(number, 4), seed=1)


def large() -> DataSet:
    """Return digits of 16x16, of which an mlp has layers whose weights share scores."""
    data = partition(load_data_set("digits"), seed=1)
    assert data.held_out is not None
    train, held_out = (
        Examples(part.stored.repeat(2, axis=2).repeat(2, axis=3), part.labels, part.full_scale)
        for part in (data.train, data.held_out)
    )
    return DataSet(train, held_out, 10, "digits of 16x16")


def learned(learner: Learner) -> PersonalModelFile:
    for _ in range(ROUNDS):
        learner.train_round()
        learner.aggregate([])
    return unpack(pack(personal_model(learner, describe_model(learner, model="mlp"))))


def start(learner: Learner, file: PersonalModelFile) -> float:
    return begin_from(learner, describe_model(learner, model="mlp"), file)


@pytest.mark.parametrize("options", [TrainingOptions(), AUTHORS], ids=["default", "sizes of scores"])
def test_a_new_node_has_the_accuracy_of_the_file_at_once(options: TrainingOptions) -> None:
    own_scores = InitializationOptions(network_seed=3, node_seed=3, weights_per_score=1)
    veteran = Learner("mlp", digits(1), options, own_scores)
    file = learned(veteran)
    new = Learner("mlp", digits(2), options, own_scores)
    seeded = new.score()
    assert seeded is not None
    assert start(new, file) == 1
    inputs = torch.from_numpy(digits(3).train.images)
    with torch.no_grad():
        assert torch.equal(new.export()(inputs).argmax(dim=1), veteran.export()(inputs).argmax(dim=1))
    score = new.score()
    assert score is not None
    assert score > seeded + 0.3
    assert (new.best.round, new.best.score) == (0, score) if new.best else False
    new.train_round()
    new.aggregate([])
    after = new.score()
    assert after is not None
    assert after > score - 0.1, "it goes on from there"


def test_its_neighbours_hear_of_it() -> None:
    new, other = Learner("mlp", digits(2), seed=3), Learner("mlp", digits(3), seed=3)
    start(new, learned(Learner("mlp", digits(1), seed=3)))
    states = new.open_exchange("other"), other.open_exchange("new")
    new.resynchronize("other", states[1])
    other.resynchronize("new", states[0])
    assert isinstance(new.make_steps(1, ["other"])["other"], MaskMessage)


def test_weights_that_share_scores_come_near() -> None:
    veteran, new = Learner("mlp", large(), seed=3), Learner("mlp", large(), seed=3)
    assert new.network.sharing is not None
    file = learned(veteran)
    assert start(new, file) > 0.97
    assert new.mask == veteran.mask
    assert new.score() == veteran.score()
    new.train_round()
    new.aggregate([])
    after, before = new.score(), veteran.score()
    assert after is not None
    assert before is not None
    assert after > before - 0.05


def test_biases_come_along() -> None:
    draws = np.random.default_rng(1)
    examples = Examples(draws.normal(size=(60, 5)).astype(np.float32), draws.integers(0, 2, 60))
    data = DataSet(examples, examples, 2, "rows")
    file = learned(Learner("mlp", data, seed=3))
    new = Learner("mlp", data, seed=3)
    start(new, file)
    for name, tensor in new.local_tensors().items():
        np.testing.assert_array_equal(tensor.numpy(), file.tensors[name])


def test_the_first_difference_is_named() -> None:
    file = learned(Learner("mlp", digits(1), seed=3))
    for learner, words in (
        (Learner("mlp", digits(2), seed=4), "the seed differ, 3 there, 4 here"),
        (Learner("mlp", digits(2), initialization=DENSER), "the layers, or their keep ratios differ"),
        (Learner("mlp", replace(large(), name="x"), seed=3), r"the shape of the inputs differ, .*8 there, .*16 here"),
    ):
        with pytest.raises(ModelError, match=f"another network: {words}"):
            start(learner, file)


def test_tensors_of_another_shape_are_refused() -> None:
    draws = np.random.default_rng(1)
    examples = Examples(draws.normal(size=(60, 5)).astype(np.float32), draws.integers(0, 2, 60))
    file = learned(Learner("mlp", DataSet(examples, examples, 2, "rows"), seed=3))
    cut = replace(file, tensors={name: tensor[:1] for name, tensor in file.tensors.items()})
    with pytest.raises(ModelError, match="the tensors of the model do not fit"):
        start(Learner("mlp", DataSet(examples, examples, 2, "rows"), seed=3), cut)
