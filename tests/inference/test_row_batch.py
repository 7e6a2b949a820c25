"""Rows that come in one message: encoded as in training, or refused with place and remedy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dslnode.data.schema import Column, ColumnKind, Schema, Series
from dslnode.errors import DataError
from dslnode.inference import row_batch
from dslnode.inference.row_batch import RowBatch, array_batch, csv_batch, encode_batch, object_batch, row_schema
from tests.inference.test_model_file import DESCRIPTION, described
from tests.inference.test_row_stream import MODEL

FORECAST = Schema(
    task="forecast",
    columns=(Column(name="heat", kind=ColumnKind.NUMBER, centre=0.0, scale=1.0),),
    target=("heat",),
    series=Series(window=3, horizon=2),
)
FLAG = Schema(columns=(Column(name="open", kind=ColumnKind.FLAG, categories=("no", "yes")),))
SCHEMA = row_schema(MODEL)
assert SCHEMA is not None


def from_csv(text: str) -> Any:
    assert SCHEMA is not None
    return encode_batch(csv_batch(text, 5), SCHEMA).tolist()


def from_objects(*rows: Any) -> Any:
    assert SCHEMA is not None
    return encode_batch(object_batch(rows, SCHEMA, range(1, len(rows) + 1), "row"), SCHEMA).tolist()


def test_rows_of_all_forms_give_the_same_inputs() -> None:
    wanted = [[1, 0, 1, 1], [-1, 1, 0, -2]]
    assert from_csv('\ufeffload,extra,state,heat\n1,x,off,30\n\n-2,"a, b",on,10\n') == wanted
    objects = ({"heat": 30, "state": "off", "load": 1, "extra": None}, {"heat": "10", "state": "on", "load": -2.0})
    assert from_objects(*objects) == wanted
    assert from_objects([30, "off", 1], [10, "on", -2]) == wanted
    assert SCHEMA is not None
    typed = RowBatch(
        names=("heat", "state", "load"),
        columns=[np.array([30.0, 10.0]), ["off", "on"], np.array([1.0, -2.0])],
        numbers=(1, 2),
        unit="row",
    )
    assert encode_batch(typed, SCHEMA).tolist() == wanted


def test_a_value_that_may_be_missing_may_be_null() -> None:
    assert from_objects({"heat": None, "state": "on", "load": 0}) == [[0, 1, 0, 0]]


@pytest.mark.parametrize("value", [True, "yes"])
def test_true_is_the_yes_of_the_data(value: object) -> None:
    batch = object_batch([{"open": value}, {"open": False}], FLAG, (1, 2), "row")
    assert encode_batch(batch, FLAG).tolist() == [[1], [0]]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the message: holds no row; give a header"),
        ("heat,state,load\n", "the message: holds no row"),
        ("heat,state\n1,on\n", "the message: lacks the column 'load' among heat, state; the model needs heat, state,"),
        ("heat,state,load\n1,on,1\n1,on\n", "the message, line 3: has 2 cells where the header has 3"),
        ("heat,state,load\n1,on,1\nwarm,on,1\n", "the message, line 3, column 'heat': 'warm' is not a number"),
        ("heat,state,load\n1,on,\n", "the message, line 2: lacks a value of 'load'"),
        ("heat,state,load\n" + "1,on,1\n" * 6, "more than the 5 rows that are answered at once"),
        ('heat,state,load\n1,"' + "x" * 200_000, "field larger than field limit"),
    ],
)
def test_csv_that_does_not_fit_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        from_csv(text)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"heat": 1, "state": "on"}, "the message, row 1: lacks 'load', which the model needs"),
        ({"heat": 1, "state": "on", "load": None}, "the message, row 1: lacks a value of 'load'"),
        ({"heat": "inf", "state": "on", "load": 1}, "row 1, column 'heat': inf is not a finite number; correct it"),
        ([1, "on"], "row 1: has 2 values, and the model needs 3: heat, state, load"),
        (7, "row 1: is no object by column name, and no list in the order heat, state, load"),
        ({"heat": [[1]], "state": "on", "load": 1}, "row 1: heat holds lists or objects in a list"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(row: object, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        from_objects(row)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ([0.5] * 29, "row 1: has the shape 29, and the model needs 30"),
        ("warm", "row 1: is no array of numbers of the shape 30"),
        ([10**400] * 30, "row 1: is no array of numbers"),
        ([None] * 30, "row 1: holds a value that is infinite or no number"),
        ([[1], [1, 2]], "row 1: is no array of numbers"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(row: object, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        array_batch([row], DESCRIPTION, (1,), "row")


def test_arrays_may_be_flat() -> None:
    images = described(base=DESCRIPTION, **{"input_shape": (1, 2, 2)})
    wanted = [[[[0, 1], [2, 3]]]] * 2
    assert array_batch([[[[0, 1], [2, 3]]], [0, 1, 2, 3]], images, (1, 2), "row").tolist() == wanted


def test_a_forecast_is_of_what_follows_the_last_row() -> None:
    description = described(base=DESCRIPTION, **{"data_schema": FORECAST})
    schema = row_schema(description)
    assert schema is not None
    batch = object_batch([[value] for value in range(4)], schema, (1, 2, 3, 4), "row")
    assert encode_batch(batch, schema)[:, :, 0].tolist() == [[0, 1, 2], [1, 2, 3]]
    with pytest.raises(DataError, match=r"a window of 3 rows .* the longest group has 2"):
        encode_batch(object_batch([[1], [2]], schema, (1, 2), "row"), schema)


def test_few_rows_that_become_many_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_batch, "MAX_VALUES", 5)
    with pytest.raises(DataError, match="become 8 values, over the limit of 5; send fewer at a time"):
        from_csv("heat,state,load\n" + "1,on,1\n" * 2)
