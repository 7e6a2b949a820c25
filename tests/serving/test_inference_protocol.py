"""The Open Inference Protocol: tensors in, tensors out, as JSON and as bytes, and its errors."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
import pytest

from dslnode.data.schema import Column, ColumnKind, Schema
from tests.inference.test_model_file import described
from tests.serving.clients import ARRAYS, INPUTS, Desk, model, read, table_model

INFER = "/v2/models/run/infer"
WHOLE = {"name": "inputs", "shape": [4, 30], "datatype": "FP32", "data": INPUTS.tolist()}
HEAT = {"name": "heat", "shape": [2], "datatype": "FP64", "data": [30, 10.0]}
STATE = {"name": "state", "shape": [2, 1], "datatype": "BYTES", "data": [["off"], ["on"]]}
LOAD = {"name": "load", "shape": [2], "datatype": "INT32", "data": [1, -2]}


@pytest.fixture
def desk() -> Desk:
    return Desk(model())


@pytest.fixture
def table() -> Desk:
    return Desk(table_model())


def test_the_server_the_model_and_its_versions_say_what_they_are(table: Desk) -> None:
    assert read(table.ask("GET", "/v2"))["name"] == "dslnode"
    assert read(table.ask("GET", "/v2/health/live")) == {"live": True}
    assert read(table.ask("GET", "/v2/models/run/versions/12/ready")) == {"name": "run", "ready": True}
    assert read(table.ask("GET", "/v2/models/run")) == {
        "name": "run",
        "versions": ["12"],
        "platform": "dslnode",
        "inputs": [
            {"name": "heat", "datatype": "FP64", "shape": [-1]},
            {"name": "state", "datatype": "BYTES", "shape": [-1]},
            {"name": "load", "datatype": "FP64", "shape": [-1]},
        ],
        "outputs": [
            {"name": "class", "datatype": "BYTES", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
        ],
    }


def test_one_tensor_for_arrays(desk: Desk) -> None:
    assert read(desk.ask("GET", "/v2/models/run"))["inputs"] == [
        {"name": "inputs", "datatype": "FP32", "shape": [-1, 30]}
    ]
    answer = read(desk.post({"id": "42", "inputs": [WHOLE]}, INFER))
    classes, shares = answer.pop("outputs")
    assert answer == {"model_name": "run", "model_version": "12", "id": "42"}
    wanted = read(desk.post(INPUTS.tolist()))["answers"]
    assert classes == {"name": "class", "shape": [4], "datatype": "BYTES", "data": [each["class"] for each in wanted]}
    assert (shares["name"], shares["shape"], shares["datatype"]) == ("probabilities", [4, 3], "FP32")
    assert np.reshape(shares["data"], (4, 3)).max(axis=1) == pytest.approx([each["probability"] for each in wanted])
    flat = {**WHOLE, "data": INPUTS.reshape(-1).tolist()}
    assert read(desk.post({"inputs": [flat]}, INFER))["outputs"] == [classes, shares]


def test_one_tensor_per_column(table: Desk) -> None:
    rows = [{"heat": 30, "state": "off", "load": 1}, {"heat": 10, "state": "on", "load": -2}]
    wanted = [each["class"] for each in read(table.post(rows))["answers"]]
    asked: dict[str, Any] = {"inputs": [LOAD, HEAT, STATE], "outputs": [{"name": "class"}]}
    [only] = read(table.post(asked, f"{INFER.removesuffix('/infer')}/versions/12/infer"))["outputs"]
    assert only["data"] == wanted


def test_cells_without_a_value_are_null(table: Desk) -> None:
    rows = [{"heat": None, "state": "off", "load": 1}, {"heat": 10, "state": "on", "load": -2}]
    asked = {"inputs": [LOAD, {**HEAT, "data": [None, 10]}, STATE]}
    assert read(table.post(asked, INFER))["outputs"][0]["data"] == [
        each["class"] for each in read(table.post(rows))["answers"]
    ]


def test_truth_is_written_as_the_data_write_it() -> None:
    columns = (Column(name="open", kind=ColumnKind.FLAG, categories=("no", "yes")),)
    layers = (msgspec.structs.replace(ARRAYS.layers[0], shape=(40, 1)), ARRAYS.layers[1])
    flags = described(base=ARRAYS, **{"data_schema": Schema(columns=columns), "input_shape": (1,), "layers": layers})
    mask = np.ones(flags.mask_layout.size, np.uint8)
    desk = Desk(model(flags, mask=mask))
    truth = {"name": "open", "shape": [2], "datatype": "BOOL", "data": [True, False]}
    texts = {"name": "open", "shape": [2], "datatype": "BYTES", "data": ["yes", "no"]}
    answers = [read(desk.post({"inputs": [tensor]}, INFER))["outputs"] for tensor in (truth, texts)]
    assert answers[0] == answers[1]
    assert answers[0][1]["data"][:3] != answers[0][1]["data"][3:]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"task": "multilabel"}, ["flags", "probabilities"]),
        ({"task": "regression"}, ["values"]),
        ({"task": "anomaly", "outputs": 3}, None),
    ],
)
def test_the_outputs_are_those_of_the_task(change: dict[str, Any], names: list[str] | None) -> None:
    if names is None:
        layers = (msgspec.structs.replace(ARRAYS.layers[0], shape=(3, 3)),)
        changes = {"input_shape": (3,), "layers": layers, "operations": ARRAYS.operations[:2], **change}
        mask = np.ones(9, np.uint8)
        desk = Desk(model(described(base=ARRAYS, **changes), mask=mask, tensors={}, threshold=1.0))
        names, count = ["anomaly", "error"], 3
    else:
        desk, count = Desk(model(described(base=ARRAYS, **change))), 30
    announced = read(desk.ask("GET", "/v2/models/run"))["outputs"]
    tensor = {"name": "inputs", "shape": [2, count], "datatype": "FP64", "data": [0.5] * 2 * count}
    answered = read(desk.post({"inputs": [tensor]}, INFER))["outputs"]
    assert [part["name"] for part in announced] == [part["name"] for part in answered] == names
    for promise, part in zip(announced, answered, strict=True):
        assert promise["datatype"] == part["datatype"]
        assert [2, *promise["shape"][1:]] == part["shape"]


def test_tensors_may_come_and_go_as_bytes(table: Desk) -> None:
    texts = b"\x03\x00\x00\x00off\x02\x00\x00\x00on"
    tensors = [
        {**{key: LOAD[key] for key in ("name", "shape", "datatype")}, "parameters": {"binary_data_size": 8}},
        {**{key: STATE[key] for key in ("name", "shape", "datatype")}, "parameters": {"binary_data_size": len(texts)}},
        HEAT,
    ]
    wanted = read(table.post({"inputs": [LOAD, STATE, HEAT]}, INFER))["outputs"]
    head = json.dumps({"inputs": tensors, "parameters": {"binary_data_output": True}}).encode()
    body = head + np.array([1, -2], "<i4").tobytes() + texts
    response = table.post(body, INFER, "application/octet-stream", inference_header_content_length=str(len(head)))
    length = int(dict(response.headers)["Inference-Header-Content-Length"])
    described, binary = json.loads(response.body[:length]), response.body[length:]
    sizes = [part["parameters"]["binary_data_size"] for part in described["outputs"]]
    assert sum(sizes) == len(binary)
    assert np.frombuffer(binary[sizes[0] :], "<f4").tolist() == wanted[1]["data"]
    assert [name.encode() in binary[: sizes[0]] for name in wanted[0]["data"]] == [True, True]


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({}, "inputs: Field required"),
        ([], "the message: Input should be a valid dictionary"),
        ({"inputs": []}, "inputs: Tuple should have at least 1 item"),
        ({"inputs": [{**WHOLE, "shape": [4.5, 30]}]}, "inputs.0.shape.0"),
        ({"inputs": [{**WHOLE, "shape": [-4, 30]}]}, "inputs.0.shape.0"),
        ({"inputs": [{**WHOLE, "shape": [4, 29]}]}, "has 120 values, and its shape [4, 29] means 116"),
        ({"inputs": [{**WHOLE, "shape": [2**40, 2**40]}]}, "has 120 values"),
        (
            {"inputs": [{**WHOLE, "shape": [120], "data": [0] * 120}]},
            "has the shape [120], and the model needs ['n', 30]",
        ),
        ({"inputs": [{**WHOLE, "shape": [], "data": [1]}]}, "has the shape []"),
        ({"inputs": [{**WHOLE, "shape": [0, 30], "data": []}]}, "has the shape [0, 30]"),
        ({"inputs": [{**WHOLE, "datatype": "FP8"}]}, "has the datatype 'FP8', and there are BOOL, UINT8"),
        ({"inputs": [{**WHOLE, "datatype": "BYTES"}]}, "a value that is no text"),
        ({"inputs": [{**WHOLE, "data": ["warm"] * 120}]}, "the value 'warm', which is none"),
        ({"inputs": [{**WHOLE, "data": [True] * 120}]}, "the value 'True', which is none"),
        ({"inputs": [{**WHOLE, "data": [1e300] * 120}]}, "infinite"),
        ({"inputs": [{**WHOLE, "datatype": "UINT8", "data": [300] * 120}]}, "a value that does not fit in it"),
        ({"inputs": [{**WHOLE, "datatype": "INT8", "data": [0.5] * 120}]}, "the value '0.5', which is none"),
        ({"inputs": [{**WHOLE, "data": None}]}, "has no data"),
        ({"inputs": [{**WHOLE, "data": [None] * 120}]}, "infinite or no number"),
        ({"inputs": [{**WHOLE, "name": "x"}]}, "takes one input of numbers, 'inputs'"),
        ({"inputs": [WHOLE, WHOLE]}, "input 'inputs': comes twice"),
        ({"inputs": [{**WHOLE, "parameters": {"binary_data_size": 8}}]}, "its bytes are cut"),
        ({"inputs": [WHOLE], "outputs": [{"name": "x"}]}, "output 'x': the model has class, probabilities"),
        ({"inputs": [WHOLE], "id": 7}, "id: Input should be a valid string"),
    ],
)
def test_requests_that_do_not_fit(desk: Desk, asked: Any, complaint: str) -> None:
    response = desk.post(asked, INFER)
    assert response.status == 400
    assert list(read(response)) == ["error"]
    assert complaint in read(response)["error"]


@pytest.mark.parametrize(
    ("tensors", "complaint"),
    [
        ([HEAT, LOAD], "lacks the column 'state'"),
        ([HEAT, STATE, LOAD, {**HEAT, "name": "x"}], "input 'x': the model has no such column"),
        (
            [{**HEAT, "shape": [1], "data": [1]}, STATE, LOAD],
            "input 'state': has the shape [2, 1], and one value per row is [1]",
        ),
        (
            [{**HEAT, "datatype": "BYTES", "data": ["1", "warm"]}, STATE, LOAD],
            "row 2, column 'heat': 'warm' is not a number",
        ),
        ([HEAT, STATE, {**LOAD, "datatype": "FP32", "data": [1, None]}], "row 2: lacks a value of 'load'"),
    ],
)
def test_columns_that_do_not_fit(table: Desk, tensors: Any, complaint: str) -> None:
    response = table.post({"inputs": tensors}, INFER)
    assert response.status == 400
    assert complaint in read(response)["error"]


@pytest.mark.parametrize(
    ("length", "tail", "complaint"),
    [
        ("x", b"", "is no number of bytes"),
        ("99999", b"", "is no number of bytes"),
        ("-1", b"", "is no number of bytes"),
        (None, b"1234", "4 bytes after the JSON belong to no input"),
    ],
)
def test_lengths_that_do_not_fit(desk: Desk, length: str | None, tail: bytes, complaint: str) -> None:
    head = json.dumps({"inputs": [WHOLE]}).encode()
    response = desk.post(head + tail, INFER, inference_header_content_length=length or str(len(head)))
    assert response.status == 400
    assert complaint in read(response)["error"]


@pytest.mark.parametrize(
    ("datatype", "content", "complaint"),
    [
        ("FP32", b"12345", "5 bytes, which are no whole number of values"),
        ("FP32", np.array([np.inf], "<f4").tobytes(), "a value that is infinite"),
        ("BYTES", b"\x01\x00", "whose last length is cut"),
        ("BYTES", b"\xff\xff\xff\xff1", "longer than its bytes"),
        ("BYTES", b"\x01\x00\x00\x00\xff", "no UTF-8"),
    ],
)
def test_bytes_that_do_not_fit(desk: Desk, datatype: str, content: bytes, complaint: str) -> None:
    tensor = {
        "name": "inputs",
        "shape": [1, 30],
        "datatype": datatype,
        "parameters": {"binary_data_size": len(content)},
    }
    head = json.dumps({"inputs": [tensor]}).encode()
    response = desk.post(head + content, INFER, inference_header_content_length=str(len(head)))
    assert response.status == 400
    assert complaint in read(response)["error"]
