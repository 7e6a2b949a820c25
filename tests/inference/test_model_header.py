"""The header of a model's file: nothing that lies in it is believed, and nothing is written that nobody could read."""

from __future__ import annotations

import zlib
from dataclasses import replace

import pytest

from dslnode.errors import ModelError
from dslnode.inference import model_header
from dslnode.inference.model_file import pack, unpack
from dslnode.inference.model_header import InputScaling, read_header
from tests.inference.test_model_file import described, example, header_text


@pytest.mark.parametrize("pairs", [(1, 2), (29, 29)])
def test_an_input_scaling_has_a_pair_per_feature(pairs: tuple[int, int]) -> None:
    scaling = InputScaling(centre=(1.5,) * pairs[0], scale=(0.1,) * pairs[1])
    with pytest.raises(ValueError, match="an input scaling that has no pair for each feature"):
        described(input_scaling=scaling)


@pytest.mark.parametrize(
    ("former", "latter", "complaint"),
    [
        ("[40,30]", "[40000,30000]", "more than the 268,435,456 weights"),
        ("[40,30]", "[30,40]", "names another layout"),
        ('"kept":[', '"kept":[1,', "another number of layers"),
        ('"round":12', '"round":-1', "round"),
        ('"op":"flatten"', '"op":"system"', "operations"),
        ('"round":12', '"round":12,"strengths":{"steps":[0.1],"size":3}', "another number of layers"),
        ('"round":12', '"round":12,"strengths":{"steps":[0.0],"size":3}', "steps"),
        ('"round":12', '"round":12,"threshold":1e999', "out of range"),
        ('"round":12', '"round":12,"settings":' + 100_000 * "[", "does not fit"),
        ("{", "", "does not fit"),
    ],
)
def test_a_header_that_lies_is_refused(former: str, latter: str, complaint: str) -> None:
    assert former in header_text()
    with pytest.raises(ValueError, match=complaint):
        read_header(zlib.compress(header_text().replace(former, latter, 1).encode()))


def test_a_schema_that_makes_no_sense_is_refused_where_it_is_needed() -> None:
    model = replace(example(), description=described(schema_values={"columns": [{"name": ""}]}))
    with pytest.raises(ModelError, match=r"data_schema does not fit \(columns.0.name"):
        unpack(pack(model)).description.data_schema  # noqa: B018


def test_what_nobody_could_read_is_not_written() -> None:
    with pytest.raises(ModelError, match=r"cannot be described: .*255 .*run_id"):
        pack(replace(example(), description=described(run_id=300 * "x")))


def test_a_header_that_inflates_for_ever_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_header, "MAX_HEADER_BYTES", 10_000)
    with pytest.raises(ValueError, match="cut or too long"):
        read_header(zlib.compress(b" " * 10_000_000))
