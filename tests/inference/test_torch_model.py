"""A model as a module of torch, and as a ``torch.export`` program, answers as numpy does."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from dslnode.data.schema import Column, ColumnKind, Schema
from dslnode.errors import ModelError
from dslnode.inference import operations as op
from dslnode.inference.export_check import ties
from dslnode.inference.input_units import InputUnits
from dslnode.inference.model_header import InputScaling
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.inference.predictor import Predictor
from dslnode.inference.rows import trial_rows
from dslnode.inference.torch_model import METADATA_FILE, PersonalModule, torch_program
from tests.inference.learned import DATA, learned
from tests.inference.test_c_source import MODELS, of_task
from tests.inference.test_model_file import DESCRIPTION, described, example


def answers(model: PersonalModelFile, inputs: np.ndarray) -> np.ndarray:
    module = Predictor(model).as_torch()
    with torch.no_grad():
        outputs: Tensor = module(torch.from_numpy(inputs.astype(np.float32)))
    return outputs.numpy()


@pytest.mark.parametrize("name", MODELS)
def test_a_program_answers_as_numpy_does(name: str) -> None:
    rows = np.random.default_rng(1).normal(size=(30, *MODELS[name].description.input_shape)).astype(np.float32)
    _, difference = torch_program(MODELS[name], rows)
    assert difference < 1e-4


@pytest.mark.parametrize("name", DATA)
def test_every_held_out_row_gets_the_same_class_whatever_the_number_of_rows(name: str) -> None:
    model, rows = learned(name, DATA[name]())
    content, _ = torch_program(model, rows[:10])
    program = torch.export.load(io.BytesIO(content)).module()
    expected, found = Predictor(model).outputs(rows), program(torch.from_numpy(rows)).numpy()
    assert ((found.argmax(axis=1) == expected.argmax(axis=1)) | ties(expected)).all()
    assert program(torch.from_numpy(rows[:1])).argmax(dim=1).tolist() == found[:1].argmax(axis=1).tolist()


def test_the_archive_says_what_the_outputs_mean() -> None:
    content, _ = torch_program(example(), trial_rows(DESCRIPTION, None, 5))
    files = {METADATA_FILE: ""}
    torch.export.load(io.BytesIO(content), extra_files=files)
    assert json.loads(json.loads(files[METADATA_FILE])["names"]) == ["idle", "worn", "broken"]
    module = Predictor(example()).as_torch()
    assert isinstance(module, PersonalModule)
    assert module.names == ("idle", "worn", "broken")
    assert not module.training


@pytest.mark.parametrize("source", ["table", "array"])
def test_inputs_come_as_they_were_measured(source: str) -> None:
    columns = tuple(Column(name=f"c{place}", kind=ColumnKind.NUMBER, centre=100.0, scale=20.0) for place in range(30))
    seen = np.random.default_rng(1).normal(size=(20, 30)).astype(np.float32)
    seen[0, :2] = 10, 0
    measured = InputUnits(centre=np.full(30, 100, np.float32), scale=np.full(30, 20, np.float32)).raw(seen)
    measured[0, :2] = 10_000, np.nan  # beyond what is let through, and missing
    scaling = InputScaling(centre=(100.0,) * 30, scale=(20.0,) * 30)
    model = of_task(data_schema=Schema(columns=columns)) if source == "table" else of_task(input_scaling=scaling)
    np.testing.assert_allclose(answers(model, measured), Predictor(example()).outputs(seen), atol=1e-4)


def test_numbers_come_in_their_units_and_a_class_that_is_not_answered_never_wins() -> None:
    rows = trial_rows(DESCRIPTION, None, 200)
    numbers = of_task(task="regression", centre=(100.0, 0, 0), scale=(10.0, 1, 2))
    expected = Predictor(numbers).predict(rows).values
    assert expected is not None
    np.testing.assert_allclose(answers(numbers, rows), expected, rtol=1e-4, atol=1e-4)
    assert 1 in answers(example(), rows).argmax(axis=1)
    assert 1 not in answers(of_task(answers=(0, 2)), rows).argmax(axis=1)


def test_local_response_norms_are_those_of_torch() -> None:
    operations = (op.LocalResponse(size=4, alpha=1e-4, beta=0.75, k=1), *DESCRIPTION.operations)
    model = of_task(operations=operations, input_shape=(30, 1, 1))
    _, difference = torch_program(model, trial_rows(model.description, None, 20))
    assert difference < 1e-4


def test_what_torch_lacks_and_what_does_not_fit_is_named() -> None:
    for operations, complaint in (
        ((op.Linear(weight="1.weight", bias="3.bias"),), r"3.bias has the shape \(3,\), not \(40,\)"),
        ((), "cannot run without torch and its own code"),
    ):
        model = replace(example(), description=described(operations=operations))
        with pytest.raises(ModelError, match=complaint):
            Predictor(model).as_torch()
    partial = op.Pool(kind="mean", kernel=(2, 2), stride=(2, 2), padding=(0, 0), partial=True)
    with pytest.raises(ModelError, match="mean over partial windows"):
        Predictor(of_task(operations=(partial, *DESCRIPTION.operations), input_shape=(30, 1, 1))).as_torch()
