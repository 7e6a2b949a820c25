"""Rows on standard input: each is answered when it has come, by the model's schema."""

from __future__ import annotations

import io

import pytest

from dslnode.data.schema import Column, ColumnKind, Schema, Series
from dslnode.errors import DataError
from dslnode.inference import row_stream
from dslnode.inference.row_stream import stream_rows
from tests.inference.test_model_file import described

SCHEMA = Schema(
    columns=(
        Column(name="heat", kind=ColumnKind.NUMBER, centre=20.0, scale=10.0),
        Column(name="state", kind=ColumnKind.CATEGORY, categories=("on", "off")),
        Column(name="load", kind=ColumnKind.NUMBER, centre=0.0, scale=1.0, missing="drop"),
        Column(name="class", kind=ColumnKind.LABEL),
    ),
    target=("class",),
    classes=("ok", "worn"),
)
MODEL = described(data_schema=SCHEMA, input_shape=(4,))


def answers(text: str) -> list[list[float]]:
    return [example.inputs[0].tolist() for example in stream_rows(io.StringIO(text), MODEL)]


def test_rows_are_encoded_by_name_without_their_target() -> None:
    assert answers('\ufeffload,extra,state,heat\n1,x,off,30\n\n-2,"a, b",on,10\n') == [[1, 0, 1, 1], [-1, 1, 0, -2]]


def test_a_row_is_answered_before_the_next_one_comes() -> None:
    sensor = io.StringIO("heat,state,load\n30,on,1\n40,on,1\n")
    assert next(stream_rows(sensor, MODEL)).inputs.shape == (1, 4)
    assert sensor.read() == "40,on,1\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "standard input: is empty; give a header"),
        ("heat,state\n", "column 'load' is not in the file"),
        ("heat,state,load\n1,on\n", "standard input, line 2: has 2 cells where the header has 3"),
        ("heat,state,load\n1,on,1\nwarm,on,1\n", "standard input, line 3, column 'heat': 'warm' is not a number"),
        ("heat,state,load\n1,on,\n", "standard input, line 2: lacks a value"),
        ("heat,state,load\n" + "1" * 2_000 + "\n", "line 2: longer than the 1,000 characters"),
    ],
)
def test_what_does_not_fit_is_named(text: str, complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_stream, "MAX_LINE_CHARACTERS", 1_000)
    with pytest.raises(DataError, match=complaint):
        answers(text)


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [(None, "has no schema"), (SCHEMA.model_copy(update={"series": Series(window=3)}), "windows of several rows")],
)
def test_models_of_other_data_are_refused(schema: Schema | None, complaint: str) -> None:
    model = described(data_schema=schema, base=MODEL)
    with pytest.raises(DataError, match=complaint):
        next(stream_rows(io.StringIO("heat\n1\n"), model))


def test_a_header_without_rows_is_refused_as_it_is_in_a_file() -> None:
    with pytest.raises(DataError, match="standard input: holds no row below its header"):
        answers("heat,state,load\n")


def test_an_infinite_number_counts_as_a_missing_one_and_that_is_said() -> None:
    [example] = stream_rows(io.StringIO("heat,state,load\ninf,on,1\n"), MODEL)
    assert example.inputs[0, 0] == 0
    assert example.notes == ("standard input, line 2: the infinite heat counts as a cell without a value",)


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(DataError, match="the columns 1 and 3 are both called 'heat'"):
        answers("heat,state,heat,load\n1,on,2,3\n")
