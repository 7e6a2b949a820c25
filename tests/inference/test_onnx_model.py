"""A model as ONNX answers as numpy does."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from dslnode.data.schema import Column, ColumnKind, Schema
from dslnode.errors import ModelError, SettingsError
from dslnode.inference import operations as op
from dslnode.inference.export_check import ties
from dslnode.inference.input_units import InputUnits
from dslnode.inference.model_header import InputScaling
from dslnode.inference.onnx_model import onnx_model
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.inference.predictor import Predictor
from dslnode.inference.rows import trial_rows
from tests.inference.learned import DATA, learned
from tests.inference.test_c_source import MODELS, of_task
from tests.inference.test_model_file import DESCRIPTION, example

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def rows_of(model: PersonalModelFile, count: int = 30) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, *model.description.input_shape)).astype(np.float32)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_those_of_numpy(name: str) -> None:
    _, difference = onnx_model(MODELS[name], rows_of(MODELS[name]))
    assert difference < 1e-5


@pytest.mark.parametrize("name", ["mlp", "cnn", "gru", "cnn1d"])
def test_every_held_out_row_gets_the_same_class(name: str) -> None:
    model, rows = learned(name, DATA[name]())
    content, _ = onnx_model(model, rows[:10])
    (found,) = onnxruntime.InferenceSession(content).run(["outputs"], {"inputs": rows})
    assert ((found.argmax(axis=1) == Predictor(model).predict(rows).classes) | ties(found)).all()


@pytest.mark.parametrize("name", DATA)
def test_int8_gives_the_very_outputs_of_float32_in_a_third_of_the_bytes(name: str) -> None:
    model, rows = learned(name, DATA[name]())
    whole, small = (onnx_model(model, rows[:10], int8=int8)[0] for int8 in (False, True))
    (expected,), (found,) = (onnxruntime.InferenceSession(c).run(["outputs"], {"inputs": rows}) for c in (whole, small))
    assert (found == expected).all()
    assert len(small) < len(whole) / 3


@pytest.mark.parametrize("name", MODELS)
def test_int8_writes_what_float32_writes(name: str) -> None:
    _, difference = onnx_model(MODELS[name], rows_of(MODELS[name]), int8=True)
    assert difference < 1e-5


def test_local_response_over_an_odd_number_of_channels_is_written() -> None:
    operations = (op.LocalResponse(size=5, alpha=1e-2, beta=0.75, k=1), *DESCRIPTION.operations)
    model = of_task(operations=operations, input_shape=(30, 1, 1))
    _, difference = onnx_model(model, rows_of(model), int8=True)
    assert difference < 1e-5


def test_the_file_says_what_it_means() -> None:
    content, _ = onnx_model(example(), rows_of(example()))
    properties = {entry.key: entry.value for entry in onnx.load_model_from_string(content).metadata_props}
    assert (properties["task"], properties["model"]) == ("classification", "mlp")
    assert json.loads(properties["names"]) == ["idle", "worn", "broken"]


def test_a_table_comes_in_its_units() -> None:
    columns = tuple(Column(name=f"c{place}", kind=ColumnKind.NUMBER, centre=100.0, scale=20.0) for place in range(30))
    model, rows = of_task(data_schema=Schema(columns=columns)), rows_of(example())
    content, _ = onnx_model(model, rows)
    raw = InputUnits(centre=np.full(30, 100, np.float32), scale=np.full(30, 20, np.float32)).raw(rows)
    raw[0, :2], rows[0, :2] = (10_000, np.nan), (10, 0)  # beyond what is let through, and missing
    (found,) = onnxruntime.InferenceSession(content).run(["outputs"], {"inputs": raw})
    np.testing.assert_allclose(found, Predictor(model).outputs(rows), rtol=1e-3, atol=1e-3)


def test_an_array_comes_as_it_was_measured() -> None:
    model = of_task(input_scaling=InputScaling(centre=(100.0,) * 30, scale=(20.0,) * 30))
    rows = trial_rows(model.description, None, 20)
    rows[0, :2] = 10_000, np.nan
    _, difference = onnx_model(model, rows)
    assert difference < 1e-4


@pytest.mark.parametrize(
    ("operations", "complaint"),
    [
        ((op.Linear(weight="3.weight"), op.Flatten()), "on values of 2 dimensions is not written as ONNX"),
        ((op.LocalResponse(size=5, alpha=1, beta=1, k=1), op.GlobalMean(), op.Flatten()), "for images alone"),
    ],
)
def test_values_of_more_or_fewer_dimensions_than_onnxruntime_takes_are_named(
    operations: tuple[op.Operation, ...], complaint: str
) -> None:
    shape = (1, 40) if isinstance(operations[0], op.Linear) else (3, 8)
    model = of_task(operations=operations, input_shape=shape)
    with pytest.raises(ModelError, match=complaint):
        onnx_model(model, rows_of(model))


def test_the_last_step_is_subtracted_in_the_features_that_are_there() -> None:
    operations = (op.StepsLast(), op.SubtractLast(columns=(1, 2)), op.Flatten(), op.Linear(weight="1.weight"))
    model = of_task(operations=(*operations, op.Linear(weight="3.weight")), input_shape=(15, 2))
    _, difference = onnx_model(model, rows_of(model))
    assert difference < 1e-4


def test_what_onnx_lacks_is_named() -> None:
    even = op.LocalResponse(size=4, alpha=1e-4, beta=0.75, k=1)
    model = of_task(operations=(even, *DESCRIPTION.operations), input_shape=(30, 1, 1))
    with pytest.raises(ModelError, match="even local response"):
        onnx_model(model, rows_of(model))


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SettingsError, match=r"pip install 'dslnode\[export\]'"):
        onnx_model(example(), rows_of(example()))
