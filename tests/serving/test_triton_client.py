"""A client that others have written for the Open Inference Protocol: NVIDIA's, with JSON and with bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from dslnode.inference.predictor import Predictor
from tests.serving.clients import INPUTS, model, serving, table_model


def tensor(name: str, values: np.ndarray, datatype: str, *, binary: bool) -> triton.InferInput:
    made = triton.InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values, binary_data=binary)
    return made


@pytest.mark.parametrize("binary", [True, False], ids=["bytes", "json"])
def test_arrays(binary: bool) -> None:
    wanted = Predictor(model()).predict(INPUTS).probabilities
    with serving(model()) as (_, port), triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("run")
        [described] = client.get_model_metadata("run")["inputs"]
        given = tensor(described["name"], INPUTS, described["datatype"], binary=binary)
        wishes = None if binary else [triton.InferRequestedOutput("probabilities", binary_data=False)]
        answer = client.infer("run", [given], request_id="7", outputs=wishes)
        np.testing.assert_array_equal(answer.as_numpy("probabilities"), wanted)
        assert answer.get_response()["id"] == "7"
        versioned = client.infer("run", [given], model_version="12")
        assert {name.decode() for name in versioned.as_numpy("class")} <= {"idle", "worn", "broken"}


@pytest.mark.parametrize("binary", [True, False], ids=["bytes", "json"])
def test_columns_of_a_table(binary: bool) -> None:
    columns: list[tuple[str, Any, str]] = [
        ("heat", np.array([30.0, 10.0]), "FP64"),
        ("state", np.array(["off", "on"], dtype=np.object_), "BYTES"),
        ("load", np.array([1, -2], np.int32), "INT32"),
    ]
    inputs = [tensor(name, values, kind, binary=binary) for name, values, kind in columns]
    wanted = Predictor(table_model()).predict(np.array([[1, 0, 1, 1], [-1, 1, 0, -2]], np.float32)).probabilities
    with serving(table_model()) as (_, port), triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
        np.testing.assert_array_equal(client.infer("run", inputs).as_numpy("probabilities"), wanted)
        with pytest.raises(InferenceServerException, match="lacks the column 'load'"):
            client.infer("run", inputs[:2])
