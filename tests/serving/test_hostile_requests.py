"""Any message is answered or refused with a status that says whose fault it is: never a fault of ours."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dslnode.config.serving_limits import Limits
from dslnode.serving.http_connection import HttpConnection
from tests.inference.test_image_input import png
from tests.inference.test_model_file import described
from tests.serving.clients import ARRAYS, PIXELS, Desk, model, table_model
from tests.serving.test_inference_protocol import HEAT, INFER, LOAD, STATE

EXAMPLES = 150
KINDS = ("application/json", "application/x-ndjson", "text/csv", "image/png", "image/jpeg")
DESKS = {
    "table": Desk(table_model()),
    "arrays": Desk(model(ARRAYS)),
    "images": Desk(model(PIXELS)),
    "labels": Desk(model(described(base=ARRAYS, **{"task": "multilabel"}))),
}
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
CELLS = st.fixed_dictionaries({"heat": PLAIN, "state": PLAIN, "load": PLAIN})
TENSOR = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["heat", "state", "load", "inputs"]) | st.text(max_size=4),
        "shape": st.lists(st.integers(-1, 40), max_size=3) | VALUES,
        "datatype": st.sampled_from(["FP32", "FP64", "INT8", "UINT64", "BOOL", "BYTES"]) | PLAIN,
        "data": st.lists(PLAIN, max_size=4) | VALUES,
        "parameters": st.dictionaries(st.just("binary_data_size"), st.integers(-1, 40) | PLAIN, max_size=1) | VALUES,
    },
)
ASKED = st.fixed_dictionaries(
    {"inputs": st.lists(TENSOR | st.sampled_from([HEAT, STATE, LOAD]), max_size=4) | VALUES},
    optional={"outputs": VALUES, "id": PLAIN, "parameters": VALUES},
)


def answered(desk: str, body: bytes, path: str, kind: str, **headers: str) -> int:
    response = DESKS[desk].ask("POST", path, body, content_type=kind, **headers)
    assert response.status in {200, 400, 413, 415, 422}
    if response.status != 200:
        assert list(json.loads(response.body)) == ["error"]
        assert response.body.count(b"\n") == 1
    return response.status


@settings(max_examples=EXAMPLES)
@given(desk=st.sampled_from(sorted(DESKS)), value=VALUES | st.lists(CELLS, max_size=3))
def test_any_json(desk: str, value: Any) -> None:
    text = json.dumps(value).encode()
    answered(desk, text, "/predict", "application/json")
    answered(desk, text, "/predict", "application/x-ndjson")
    answered(desk, text, INFER, "application/json")


@settings(max_examples=EXAMPLES)
@given(
    desk=st.sampled_from(sorted(DESKS)), asked=ASKED, tail=st.binary(max_size=40), length=st.integers(-2, 2) | st.none()
)
def test_any_tensors(desk: str, asked: Any, tail: bytes, length: int | None) -> None:
    head = json.dumps(asked).encode()
    headers = {} if length is None else {"inference_header_content_length": str(len(head) + length)}
    answered(desk, head + tail, INFER, "application/octet-stream", **headers)


@settings(max_examples=EXAMPLES)
@given(desk=st.sampled_from(sorted(DESKS)), kind=st.sampled_from(KINDS), body=st.binary(max_size=200))
def test_any_bytes(desk: str, kind: str, body: bytes) -> None:
    answered(desk, body, "/predict", kind)


@settings(max_examples=EXAMPLES)
@given(rows=st.text(alphabet='heatstdlo,"\n\r;0123456789.-\x00é', max_size=80))
def test_any_csv_below_a_good_header(rows: str) -> None:
    answered("table", f"heat,state,load\n{rows}".encode(), "/predict", "text/csv")


@settings(max_examples=EXAMPLES)
@given(place=st.integers(0, 200), change=st.binary(min_size=1, max_size=4), cut=st.integers(0, 200))
def test_any_damaged_image(place: int, change: bytes, cut: int) -> None:
    good = png()
    damaged = good[:place] + change + good[place + len(change) :]
    answered("images", damaged[: len(damaged) - cut], "/predict", "image/png")


class Answers:
    """Answers everything; what is asked does not matter."""

    def __init__(self) -> None:
        self.refusal = DESKS["arrays"].application.refusal
        self.answer = DESKS["arrays"].application.answer
        self.count = DESKS["arrays"].application.count
        self.too_large = DESKS["arrays"].application.too_large


HEADS = st.sampled_from(
    [b"GET / HTTP/1.1\r\n", b"POST /predict HTTP/1.1\r\n", b"Host: localhost\r\n", b"\r\n", b"HTTP/1.0"]
)
FIELDS = st.sampled_from([b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"5\r\nabcde\r\n", b"0\r\n\r\n"])


@settings(max_examples=EXAMPLES)
@given(parts=st.lists(HEADS | FIELDS | st.binary(max_size=20), max_size=10))
def test_any_bytes_as_http(parts: list[bytes]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"".join(parts))
        theirs.shutdown(socket.SHUT_WR)
        connection = HttpConnection(
            ours, Answers(), Limits(head_bytes=1_024, body_bytes=50), identify=str, begin=lambda: None, end=lambda: None
        )
        with contextlib.suppress(OSError):
            connection.run()
