"""The forms of the personal model, and that what is measured is what is exported."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dslnode.data.dataset import DataSet, load_data_set
from dslnode.data.partition import partition
from dslnode.inference.model_file import pack, unpack
from dslnode.inference.predictor import Predictor
from dslnode.learning.learner import Learner
from dslnode.learning.model_description import describe_model, personal_model
from dslnode.learning.options import Personal, TrainingOptions
from dslnode.learning.personal_form import HIGHEST_LEVEL


@pytest.fixture(scope="module")
def digits() -> DataSet:
    return partition(load_data_set("digits"), share=(1, 4), seed=1)


def learned(data: DataSet, form: Personal, power: float = 0.25) -> Learner:
    learner = Learner("mlp", data, TrainingOptions(personal=form, mask_power=power, local_steps=20))
    for _ in range(3):
        learner.train_round()
    return learner


@pytest.mark.parametrize("form", HIGHEST_LEVEL)
def test_what_is_scored_is_what_is_exported_and_what_a_file_answers(digits: DataSet, form: Personal) -> None:
    learner = learned(digits, form)
    score = learner.score()
    assert digits.held_out is not None
    images, labels = digits.held_out.images, digits.held_out.labels
    exported = learner.export()(torch.from_numpy(images)).argmax(dim=1).numpy()
    file = unpack(pack(personal_model(learner, describe_model(learner, model="mlp"), best=False)))
    answered = Predictor(file).outputs(images.astype(np.float32)).argmax(axis=1)
    assert np.array_equal(exported, answered)
    assert score == np.mean(answered == labels)
    judged = learner.judge()
    assert judged is not None
    assert (judged.score, judged.form) == (score, form)


def test_without_graded_training_all_forms_are_binary(digits: DataSet) -> None:
    judged = learned(digits, "levels", power=0.0).judge()
    assert judged is not None
    assert judged.form == "binary"


def test_finer_forms_come_nearer_to_what_was_trained(digits: DataSet) -> None:
    forms = {form: learned(digits, form).form for form in HIGHEST_LEVEL}
    masks = {form.mask for form in forms.values()}
    assert len(masks) == 1, (
        "without convolutions the form decides nothing in training, and the mask that neighbours see is the same"
    )
    graded = forms["graded"].factors
    errors = {name: float((form.factors - graded).square().mean()) for name, form in forms.items()}
    assert errors["levels"] < errors["binary"] / 4
    assert {int(form.levels.codes.max()) for form in forms.values() if form.levels is not None} == {7, 127}


@pytest.mark.parametrize("form", HIGHEST_LEVEL)
def test_without_graded_training_every_form_is_the_mask_alone(digits: DataSet, form: Personal) -> None:
    assert learned(digits, form, power=0.0).form.levels is None


def test_the_best_model_keeps_its_levels_when_the_node_learns_on(digits: DataSet) -> None:
    learner = learned(digits, "levels")
    then = learner.form.factors.clone()
    assert learner.keep_if_best(0.9)
    learner.train_round()
    assert not torch.equal(learner.form.factors, then)
    assert learner.best is not None
    assert torch.equal(learner.best.form.factors, then)


def test_a_saved_state_holds_the_levels(digits: DataSet) -> None:
    learner = learned(digits, "levels")
    arrays = learner.state()
    again = Learner("mlp", digits, learner.options)
    again.restore(arrays)
    assert torch.equal(again.form.factors, learner.form.factors)
