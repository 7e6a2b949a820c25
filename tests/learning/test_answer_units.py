"""The class prior is in all that answers for a node whose classes count by frequency: in every form of its model."""

from __future__ import annotations

import subprocess
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dslnode.data.dataset import DataSet, Examples
from dslnode.errors import ModelError
from dslnode.inference.c_source import c_source
from dslnode.inference.model_file import pack, unpack
from dslnode.inference.operations import ANSWER_UNITS
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.inference.predictor import Predictor
from dslnode.inference.saved_arrays import model_from_arrays
from dslnode.inference.torch_model import torch_module, torch_program
from dslnode.learning.answer_units import CENTRE, SCALE, without_answer_units
from dslnode.learning.learner import Learner
from dslnode.learning.model_description import describe_model, personal_model
from dslnode.learning.options import Personal, TrainingOptions, UnevenClasses
from dslnode.learning.warm_start import begin_from
from tests.inference.test_c_source import DRIVER, needs_compiler

COUNTS = (160, 30, 20)
CLASSES = 4
"""One more than the node has examples of."""


def uneven(seed: int = 1) -> DataSet:
    """Return three classes that overlap, as common as ``COUNTS`` says, of four."""
    draws = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), COUNTS)
    inputs = draws.normal(size=(len(labels), 6)).astype(np.float32)
    inputs[np.arange(len(labels)), labels] += 1.5
    examples = Examples(inputs, labels)
    order = draws.permutation(len(labels))
    return DataSet(examples.take(order[:140]), examples.take(order[140:]), CLASSES, "overlapping")


def learned(
    uneven_classes: UnevenClasses = "by_frequency", personal: Personal = "levels", data: DataSet | None = None
) -> Learner:
    options = TrainingOptions(local_steps=5, uneven_classes=uneven_classes, personal=personal)
    learner = Learner("mlp", data or uneven(), options, seed=3)
    for _ in range(4):
        learner.train_round()
        learner.aggregate([])
    return learner


def file_of(learner: Learner) -> PersonalModelFile:
    return unpack(pack(personal_model(learner, describe_model(learner, model="mlp"))))


def rows() -> NDArray[np.float32]:
    held_out = uneven().held_out
    assert held_out is not None
    return held_out.images


def exported(learner: Learner) -> NDArray[np.float32]:
    with torch.no_grad():
        return np.asarray(learner.export()(torch.from_numpy(rows())).numpy())


@pytest.mark.parametrize("personal", ["binary", "levels", "graded"])
def test_the_setting_changes_answers_and_score_and_not_what_is_learned(personal: Personal) -> None:
    alike, by_frequency = learned("alike", personal), learned("by_frequency", personal)
    assert alike.mask == by_frequency.mask
    answers = [exported(learner).argmax(axis=1) for learner in (alike, by_frequency)]
    assert (answers[0] != answers[1]).any()
    held_out = uneven().held_out
    assert held_out is not None
    found = by_frequency.judge()
    assert found is not None
    assert (found.name, found.score) == ("accuracy", float(np.mean(answers[1] == held_out.labels)))
    assert found.score == by_frequency.score() == found.judgement.value("accuracy")
    assert found.score > np.mean(answers[0] == held_out.labels)


@pytest.mark.parametrize("personal", ["binary", "levels", "graded"])
def test_file_and_saved_state_answer_with_the_prior(personal: Personal) -> None:
    learner = learned(personal=personal)
    description = describe_model(learner, model="mlp")
    saved = model_from_arrays(description, learner.state(), round_number=4, score=None, threshold=None)
    expected = exported(learner)
    shares = torch.from_numpy(expected).softmax(dim=1).numpy()
    for model in (file_of(learner), saved):
        answers = Predictor(model).predict(rows())
        assert answers.classes is not None
        assert answers.probabilities is not None
        assert (answers.classes == expected.argmax(axis=1)).all()
        np.testing.assert_allclose(answers.probabilities, shares, rtol=1e-4, atol=1e-6)
        assert not answers.probabilities[:, 3].any(), "the class that the node lacks"


def test_torch_onnx_and_int8_answer_with_the_prior() -> None:
    learner = learned()
    model, expected = file_of(learner), exported(learner)
    with torch.no_grad():
        found = torch_module(model)(torch.from_numpy(rows())).numpy()
    np.testing.assert_allclose(found[:, :3], expected[:, :3], rtol=1e-4, atol=1e-4)
    _, difference = torch_program(model, rows())
    assert difference < 1e-4
    onnxruntime = pytest.importorskip("onnxruntime")
    from dslnode.inference.onnx_model import onnx_model

    for int8 in (False, True):
        session = onnxruntime.InferenceSession(onnx_model(model, rows(), int8=int8)[0])
        [logits] = session.run(["outputs"], {"inputs": rows()})
        np.testing.assert_allclose(logits[:, :3], expected[:, :3], rtol=1e-4, atol=1e-4)


@needs_compiler
@pytest.mark.process
def test_the_program_in_c_answers_with_the_prior(tmp_path: Path) -> None:
    learner = learned()
    for name, text in {**c_source(file_of(learner), rows()[:10]), "driver.c": DRIVER}.items():
        (tmp_path / name).write_text(text)
    subprocess.run(["gcc", "model.c", "driver.c", "-lm", "-o", "model"], cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "model"], input=rows().tobytes(), capture_output=True, check=True)
    assert [int(line) for line in done.stdout.split()] == exported(learner).argmax(axis=1).tolist()


class Answer(nn.Module):
    """Scale and centre of somebody's own, by the names that the class prior's tensors go by but for a dot."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((CLASSES,), 2.0))
        self.centre = nn.Parameter(torch.arange(CLASSES).float())

    def forward(self, outputs: Tensor) -> Tensor:
        return outputs * self.scale + self.centre


def own_model(*_: object, **__: object) -> nn.Module:
    body = nn.Sequential(nn.Linear(6, 20, bias=False), nn.ReLU(), nn.Linear(20, CLASSES, bias=False))
    return nn.Sequential(OrderedDict(body=body, answer=Answer()))


def test_tensors_of_somebodys_own_by_these_names_are_kept() -> None:
    def own() -> Learner:
        options = TrainingOptions(local_steps=5, uneven_classes="by_frequency")
        return Learner(own_model(), uneven(), options, seed=3)

    first, restored, begun = own(), own(), own()
    for _ in range(4):
        first.train_round()
    names = {"answer.scale", "answer.centre"}
    expected = {name: first.local_tensors()[name].tolist() for name in names}
    restored.restore(first.state())
    file = unpack(pack(personal_model(first, describe_model(first, model="own"), best=False)))
    begun.begin_from(file)
    for learner in (restored, begun):
        assert {name: learner.local_tensors()[name].tolist() for name in names} == expected
    assert {SCALE, CENTRE} | names <= file.tensors.keys()
    assert {name: file.tensors[name].tolist() for name in names} == expected


@pytest.mark.parametrize("name", [SCALE, CENTRE])
def test_no_module_can_have_a_tensor_of_these_names(name: str) -> None:
    path, _, last = name.rpartition(".")
    with pytest.raises(KeyError):
        nn.Module().register_parameter(name, None)
    with pytest.raises(KeyError):
        nn.Module().add_module(path, nn.Module())
    assert last
    assert "" in path.split(".")
    with pytest.raises(KeyError):
        nn.Module().add_module("", nn.Module())


def test_even_classes_and_those_that_count_alike_need_nothing_in_the_file() -> None:
    data = uneven()
    even = DataSet(data.train.take(np.flatnonzero(data.train.labels == 1)), data.held_out, CLASSES, "one class")
    for learner in (learned("alike"), learned("by_frequency", data=even)):
        model = file_of(learner)
        assert ANSWER_UNITS not in model.description.operations
        assert not model.tensors.keys() & {SCALE, CENTRE}
        assert not {name for name in learner.state() if "answer." in name}


def test_a_state_goes_on_under_the_other_setting() -> None:
    first, second = learned("by_frequency"), Learner("mlp", uneven(), TrainingOptions(local_steps=5), seed=3)
    second.restore(first.state())
    assert second.mask == first.mask
    assert (exported(second).argmax(axis=1) == exported(learned("alike")).argmax(axis=1)).all()


@pytest.mark.parametrize("uneven_classes", ["alike", "by_frequency"])
def test_a_new_node_begins_with_a_file_of_either_setting_and_answers_by_its_own(uneven_classes: UnevenClasses) -> None:
    file = file_of(learned("by_frequency"))
    assert without_answer_units(file.description.operations) == file.description.operations[:-1]
    new = Learner("mlp", uneven(2), TrainingOptions(uneven_classes=uneven_classes), seed=3)
    begin_from(new, describe_model(new, model="mlp"), file)
    assert (file_of(new).mask == file.mask).all()
    has_prior = CENTRE in file_of(new).tensors
    assert has_prior == (uneven_classes == "by_frequency")
    if has_prior:
        assert not np.array_equal(file_of(new).tensors[CENTRE], file.tensors[CENTRE]), "its own data say how frequent"
    other = Learner("mlp", uneven(), seed=4)
    with pytest.raises(ModelError, match="the seed differ"):
        begin_from(other, describe_model(other, model="mlp"), file)
