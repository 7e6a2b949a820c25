"""What a model says it expects is what it takes."""

from __future__ import annotations

import csv
import io

import pytest

from dslnode.data.schema import AudioShape, Column, ColumnKind, ImageShape, Schema, Series
from dslnode.inference.expected_rows import expected_input
from dslnode.inference.model_header import Description, InputScaling
from dslnode.inference.row_stream import stream_rows
from tests.inference.test_model_file import described

KINDS = Schema(
    columns=(
        Column(name="heat", kind=ColumnKind.NUMBER, unit="C", low=-10, high=80, centre=20.5, scale=10, missing="drop"),
        Column(name="state, now", kind=ColumnKind.CATEGORY, categories=("on", "off"), marks=("?",)),
        Column(name="open", kind=ColumnKind.FLAG, categories=("no", "yes"), missing="indicator"),
        Column(name="at", kind=ColumnKind.TIMESTAMP, format="iso", cycles=("day",)),
        Column(name="since", kind=ColumnKind.TIMESTAMP, format="epoch", cycles=("order",), centre=0, scale=1),
        Column(name="day", kind=ColumnKind.TIMESTAMP, format="%d.%m.%Y", cycles=("week",)),
        Column(name="note", kind=ColumnKind.IGNORED),
        Column(name="class", kind=ColumnKind.LABEL),
    ),
    target=("class",),
    classes=("ok", "worn"),
)
MODEL = described(data_schema=KINDS, input_shape=(len(KINDS.input_names),), names=("ok", "worn"), outputs=2)


def test_the_example_is_a_row_that_the_model_takes() -> None:
    text = io.StringIO()
    writer = csv.writer(text)
    example = expected_input(MODEL).example
    writer.writerow(example)
    writer.writerow(example.values())
    [row] = stream_rows(io.StringIO(text.getvalue()), MODEL)
    assert row.inputs.shape == (1, len(KINDS.input_names))
    assert row.inputs[0, :4].tolist() == [0, 0, 1, 1], "the centre, the last category, yes"


def test_columns_say_unit_values_and_what_is_missing() -> None:
    columns = {column.name: column for column in expected_input(MODEL).columns}
    assert list(columns) == ["heat", "state, now", "open", "at", "since", "day"]
    assert (columns["heat"].unit, columns["heat"].values) == ("C", "-10 to 80 in training")
    assert columns["heat"].missing == "the row is not answered"
    assert columns["state, now"].values == "'on' or 'off'"
    assert columns["state, now"].missing.endswith("missing is also '?'")
    assert "sees that it is missing" in columns["open"].missing
    assert columns["day"].values == "%d.%m.%Y"
    assert expected_input(MODEL).outputs == ("ok", "worn")


SERIES = KINDS.model_copy(update={"series": Series(window=8, time="at")})


@pytest.mark.parametrize(
    ("model", "about"),
    [
        (MODEL, "rows of a table"),
        (described(data_schema=SERIES), "windows of 8 rows, in the order of at"),
        (described(data_schema=Schema(image=ImageShape(width=8, height=9, mode="grey"))), "8x9 pixels, grey"),
        (described(data_schema=Schema(audio=AudioShape(seconds=1.5, rate=8000))), "1.5 s of 8000 samples per second"),
        (described(full_scale=255.0), "shape 30 per example, of numbers from 0 to 255"),
        (described(input_scaling=InputScaling()), "in the units of the training data"),
        (described(), "as the model was given them"),
    ],
    ids=["table", "series", "image", "audio", "bytes", "numbers", "plain"],
)
def test_it_says_what_an_example_is(model: Description, about: str) -> None:
    assert about in expected_input(model).about


def test_many_classes_are_shortened_and_units_are_named() -> None:
    many = expected_input(described(outputs=20, names=()))
    assert (len(many.outputs), many.outputs[-1]) == (13, "8 more")
    assert expected_input(described(task="regression", units=("mm", "", ""))).outputs[0] == "idle (mm)"
