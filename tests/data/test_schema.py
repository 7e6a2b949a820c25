"""Schemas as values: what nodes must agree on, the first difference in words, and what contradicts itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dslnode.data.schema import Column, ColumnKind, ImageShape, Schema, Series, difference

SPEED = Column(name="speed", kind=ColumnKind.NUMBER, centre=1.0, scale=2.0, low=0, high=9)
COLOUR = Column(name="colour", kind=ColumnKind.CATEGORY, categories=("b", "r"))
STATE = Column(name="state", kind=ColumnKind.LABEL)
PUMP = Schema(target=("state",), classes=("ok", "worn"), scaling="run", columns=(SPEED, COLOUR, STATE))


def changed(**fields: Any) -> Schema:
    return Schema.model_validate({**PUMP.model_dump(), **fields})


def test_inputs_are_named_in_their_order() -> None:
    assert PUMP.input_names == ("speed", "colour=b", "colour=r")
    missing = SPEED.model_copy(update={"missing": "indicator"})
    assert changed(columns=(missing, STATE)).input_names == ("speed", "speed missing")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (changed(task="anomaly"), "task: 'anomaly' there, 'classification' here"),
        (changed(classes=("ok", "off")), "classes: number 2 is 'off' there, 'worn' here"),
        (changed(classes=("ok", "worn", "off")), "classes: 3 there, 2 here"),
        (changed(columns=(COLOUR, SPEED, STATE)), "input column 1 is 'colour' there, 'speed' here"),
        (changed(columns=(SPEED, STATE)), "has 1 input columns, this node 2"),
        (
            changed(columns=(SPEED, COLOUR.model_copy(update={"categories": ("b", "g")}), STATE)),
            "column 'colour', categories: number 2 is 'g' there, 'r' here",
        ),
        (
            changed(columns=(SPEED.model_copy(update={"centre": 3.0}), COLOUR, STATE)),
            "column 'speed', centre: 3.0 there, 1.0 here",
        ),
        (
            changed(series=Series(window=4)),
            "series: {'window': 4, 'horizon': 0, 'group': '', 'time': ''} there, none here",
        ),
        (
            changed(image=ImageShape(width=8, height=8, mode="grey")),
            "image: {'width': 8, 'height': 8, 'mode': 'grey'} there",
        ),
    ],
)
def test_the_first_difference_is_said_in_words(other: Schema, words: str) -> None:
    assert difference(PUMP.agreement(), other.agreement()).startswith(words)
    assert difference(PUMP.agreement(), PUMP.agreement()) == ""


@pytest.mark.parametrize(
    "other",
    [
        changed(columns=(SPEED.model_copy(update={"low": -5, "empty": 3, "unit": "rpm"}), COLOUR, STATE)),
        changed(columns=(Column(name="id", kind=ColumnKind.IGNORED, why="x"), SPEED, COLOUR, STATE)),
    ],
)
def test_what_only_describes_ones_own_data_need_not_agree(other: Schema) -> None:
    assert other.agreement() == PUMP.agreement()


def test_local_scales_and_strides_need_not_agree() -> None:
    one, other = (
        changed(
            scaling="local",
            series=Series(window=4, stride=number),
            columns=(SPEED.model_copy(update={"centre": float(number)}), STATE),
        )
        for number in (1, 2)
    )
    assert one.agreement() == other.agreement()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"columns": (SPEED, SPEED, STATE)}, "two columns are named 'speed'"),
        ({"classes": ("ok", "ok")}, "two classes have one name"),
        ({"target": ("stat",)}, "target = 'stat': there is no such column"),
        ({"series": Series(window=3, group="machine")}, "series.group = 'machine': there is no such column"),
        ({"columns": (Column(name="speed", kind=ColumnKind.NUMBER), STATE)}, "column 'speed' has no centre and scale"),
    ],
)
def test_a_schema_that_contradicts_itself_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        changed(**fields)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "kind", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["task", "classes", "inputs", "series", "image"]), json_values))
def test_whatever_a_neighbour_says_the_difference_is_a_text(theirs: dict[str, Any]) -> None:
    assert isinstance(difference(PUMP.agreement(), theirs), str)
