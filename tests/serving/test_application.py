"""Requests for predictions as values: what is answered, what is refused, with which status and words."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from dslnode.config.serving_limits import Limits
from dslnode.inference.answers import answers_of
from dslnode.inference.model_file import unpack
from dslnode.inference.predictor import Predictor
from dslnode.serving.access import Access
from dslnode.serving.served_model import ServedModel
from tests.inference.test_image_input import png
from tests.serving.clients import ARRAYS, INPUTS, PIXELS, Desk, model, read, table_model

TOKEN = "correct-horse-battery"
ROW = {"heat": 30, "state": "off", "load": 1}
CSV = "load,extra,state,heat\n1,x,off,30\n-2,y,on,10\n"


@pytest.fixture
def desk() -> Desk:
    return Desk(model())


@pytest.fixture
def table() -> Desk:
    return Desk(table_model())


def test_answers_are_those_of_the_command(desk: Desk) -> None:
    response = desk.post({"rows": INPUTS.tolist()})
    wanted = list(answers_of(Predictor(model()).predict(INPUTS), ARRAYS))
    assert response.status == 200
    assert read(response) == {"model": "run", "round": 12, "answers": wanted}
    assert {("Dslnode-Model", "run"), ("Dslnode-Round", "12")} <= set(response.headers)
    assert read(desk.post(INPUTS.tolist())) == read(response)
    assert {answer["class"] for answer in wanted} <= {"idle", "worn", "broken"}


def test_rows_of_a_table_come_in_every_form(table: Desk) -> None:
    other = {"heat": 10, "state": "on", "load": -2}
    wanted = read(table.post(CSV, content_type="text/csv; charset=utf-8"))["answers"]
    assert len(wanted) == 2
    assert read(table.post([ROW, other]))["answers"] == wanted
    assert read(table.post({"rows": [list(ROW.values()), list(other.values())]}))["answers"] == wanted
    lines = f"{json.dumps(ROW)}\n\n{json.dumps(other)}\n"
    assert read(table.post(lines, content_type="application/x-ndjson"))["answers"] == wanted


def test_answers_come_in_the_form_that_is_accepted(table: Desk) -> None:
    wanted = read(table.post([ROW]))["answers"]
    as_csv = table.post([ROW], accept="text/csv;q=0.9, */*;q=0.1")
    assert as_csv.content_type.startswith("text/csv")
    assert dict(as_csv.headers)["Dslnode-Round"] == "12"
    [found] = csv.DictReader(io.StringIO(as_csv.body.decode()))
    assert found == {name: str(value) for name, value in wanted[0].items()}
    as_lines = table.post([ROW, ROW], accept="application/x-ndjson")
    assert [json.loads(line) for line in as_lines.body.splitlines()] == wanted * 2


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg"])
def test_an_image_is_answered(kind: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (5, 6), dtype=np.uint8)
    images = Desk(model(PIXELS))
    assert (
        read(images.post(png(pixels), content_type=kind))["answers"]
        == read(images.post([[pixels.tolist()]]))["answers"]
    )


@pytest.mark.parametrize(
    ("body", "kind", "status", "complaint"),
    [
        ("[", "application/json", 400, "is no JSON"),
        ("[" * 100_000, "application/json", 400, "nested too deep"),
        ('{"rows": [[NaN]]}', "application/json", 400, "NaN is no number of JSON"),
        ("7", "application/json", 422, "is neither a list of rows nor"),
        ("{}", "application/json", 422, "is neither a list of rows nor"),
        ("[]", "application/json", 422, "holds no row"),
        ('[{"heat": 30}]', "application/json", 422, "row 1: lacks 'state', which the model needs"),
        (
            '[{"heat": "warm", "state": "on", "load": 1}]',
            "application/json",
            422,
            "row 1, column 'heat': 'warm' is not",
        ),
        ('[{"heat": 1e400, "state": "on", "load": 1}]', "application/json", 422, "inf is not a finite number"),
        (b"\xff\xfe", "text/csv", 400, "is no UTF-8"),
        ("heat\n1\n", "text/csv", 422, "lacks the column 'state'"),
        ("{}\n{", "application/x-ndjson", 422, "line 2: is no JSON"),
        ("7\n", "application/x-ndjson", 422, "line 1: is no object"),
        (png(), "image/png", 422, "takes no images"),
        ("a=1", "application/x-www-form-urlencoded", 415, "set Content-Type to application/json"),
        ("a", "", 415, "the message is of no type"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    table: Desk, body: str | bytes, kind: str, status: int, complaint: str
) -> None:
    response = table.post(body, content_type=kind)
    assert response.status == status
    assert complaint in read(response)["error"]
    assert response.body.count(b"\n") == 1
    assert table.counted("dslnode_predict_requests_total", route="predict", status=str(status)) == 1
    assert table.counted("dslnode_predict_rows_total") == 0


def test_a_row_without_a_finite_answer_is_named(desk: Desk) -> None:
    response = desk.post([[0.0] * 30, [3e38] * 30])
    assert response.status == 422
    assert "row 2: the model's outputs are no numbers" in read(response)["error"]


@pytest.mark.parametrize("kind", ["text/csv", "image/png"])
def test_a_model_of_arrays_says_what_it_takes(desk: Desk, kind: str) -> None:
    assert "inputs as JSON" in read(desk.post("a\n1\n", content_type=kind))["error"]


def test_too_many_rows_are_refused() -> None:
    few = Desk(table_model(), limits=Limits(rows=1))
    for body, kind in (([ROW, ROW], "application/json"), (CSV, "text/csv"), ("{}\n{}\n", "application/x-ndjson")):
        response = few.post(body, content_type=kind)
        assert response.status == 422
        assert "more than the 1 rows that are answered at once" in read(response)["error"]


@pytest.mark.parametrize(
    ("line", "headers", "status", "complaint"),
    [
        ("GET /nonsense", {}, 404, "there are /, /predict"),
        ("GET /v2/models/run/nonsense", {}, 404, "there are"),
        ("GET /metrics", {}, 404, "--metrics address"),
        ("GET /predict", {}, 405, "use POST"),
        ("OPTIONS /predict", {}, 405, "use POST"),
        ("POST /model", {}, 405, "use GET, HEAD"),
        ("DELETE /v2/models/run", {}, 405, "use GET, HEAD"),
        ("POST /predict", {"content_length": "4194305"}, 413, "longer than the 4,194,304 bytes"),
        ("POST /predict", {"content_encoding": "gzip"}, 415, "without Content-Encoding"),
        ("GET /model", {"host": "evil.example"}, 421, "does not have the name"),
        (
            "POST /predict",
            {"host": "127.0.0.1:8711", "origin": "http://evil.example"},
            403,
            "a page of another site",
        ),
        ("POST /predict", {"host": "127.0.0.1:8711", "origin": "null"}, 403, "a page of another site"),
        ("GET /v2/models/other", {}, 404, "there is no model 'other'; this is 'run'"),
        ("GET /v2/models/run/versions/11", {}, 404, "there is no version '11'; now it is 12"),
    ],
)
def test_requests_that_lead_nowhere(
    desk: Desk, line: str, headers: dict[str, str], status: int, complaint: str
) -> None:
    method, path = line.split()
    response = desk.ask(method, path, **headers)
    assert response.status == status
    assert complaint in read(response)["error"]
    assert not any(name.lower().startswith("access-control") for name, _ in response.headers)


def test_the_own_page_may_ask(desk: Desk) -> None:
    assert desk.post(INPUTS.tolist(), host="localhost:8711", origin="http://localhost:8711").status == 200


def test_with_a_token_all_but_health_checks_need_it() -> None:
    guarded = Desk(model(), access=Access(token=TOKEN))
    for path in ("/", "/model", "/model.dslm", "/v2", "/v2/models/run", "/nonsense"):
        refused = guarded.ask("GET", path)
        assert refused.status == 401
        assert dict(refused.headers)["WWW-Authenticate"].startswith("Basic")
    assert guarded.post(INPUTS.tolist(), authorization="Bearer wrong-horse-battery").status == 401
    assert guarded.post(INPUTS.tolist(), authorization=f"Bearer {TOKEN}", host="board.example").status == 200
    assert guarded.ask("GET", "/v2/health/live").status == 200
    assert guarded.ask("GET", "/v2/health/ready").status == 200


def test_before_the_first_model_nothing_is_ready() -> None:
    empty = Desk(None)
    assert empty.ask("GET", "/v2/health/live").status == 200
    assert empty.ask("GET", "/v2/health/ready").status == 503
    assert empty.ask("GET", "/").status == 200
    for response in (empty.post([ROW]), empty.ask("GET", "/model"), empty.ask("GET", "/v2/models/run/ready")):
        assert response.status == 503
        assert "has not finished a round" in read(response)["error"]
        assert ("Retry-After", "1") in response.headers


def test_the_model_describes_itself_and_can_be_taken(table: Desk) -> None:
    facts = read(table.ask("GET", "/model"))
    assert [column["name"] for column in facts["columns"]] == ["heat", "state", "load"]
    assert facts["score"] == {"name": "accuracy", "value": 0.9}
    taken = table.ask("GET", "/model.dslm")
    assert unpack(taken.body).description == table_model().description
    assert table.ask("HEAD", "/model").status == 200


def test_a_replaced_model_answers_the_next_request(desk: Desk) -> None:
    desk.slot.current = ServedModel(model(round=13))
    assert read(desk.post(INPUTS.tolist()))["round"] == 13


def test_metrics_count_requests_rows_and_classes() -> None:
    desk = Desk(model(), own_metrics=True)
    answers = read(desk.post(INPUTS.tolist()))["answers"]
    desk.ask("GET", "/nonsense")
    assert desk.counted("dslnode_predict_rows_total") == 4
    assert desk.counted("dslnode_predict_seconds_count") == 1
    for name in ("idle", "worn", "broken"):
        wanted = sum(answer["class"] == name for answer in answers)
        assert desk.counted("dslnode_predict_answers_total", **{"class": name}) == wanted
    assert desk.counted("dslnode_predict_requests_total", route="other", status="404") == 1
    assert b"dslnode_predict_rows_total 4.0" in desk.ask("GET", "/metrics").body


def test_the_page_runs_nothing_but_itself(desk: Desk) -> None:
    response = desk.ask("GET", "/")
    policy = dict(response.headers)["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert b"innerHTML" not in response.body
    assert b' style="' not in response.body, "the policy would ignore it"
