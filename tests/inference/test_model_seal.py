"""Seals of models: who made it, and whether it was changed since."""

from __future__ import annotations

from pathlib import Path

import pytest

from dslnode.errors import ModelError
from dslnode.inference.model_file import pack, unpack
from dslnode.inference.model_seal import check_seal, with_seal
from tests.inference.test_model_file import example
from tests.networks import DAY, NOW, Operator


def test_a_seal_names_the_node(operator: Operator) -> None:
    reader = operator.ticket("reader")
    whole = with_seal(pack(example()), operator.ticket("pump"))
    assert check_seal(whole, "m.dslm", reader).name == "pump"
    again = with_seal(whole, operator.ticket("other"))
    assert check_seal(again, "m.dslm", reader).name == "other", "a new seal replaces the old one"
    assert (unpack(whole).mask == example().mask).all()


def test_a_file_without_a_seal_says_how_to_get_one(operator: Operator) -> None:
    with pytest.raises(ModelError, match=r"m\.dslm: has no seal; export it with --seal"):
        check_seal(pack(example()), "m.dslm", operator.ticket("reader"))


def test_another_file_under_a_seal_is_noticed(operator: Operator) -> None:
    first = with_seal(pack(example(1)), operator.ticket("pump"))
    other = pack(example(2))
    seal = first[len(pack(example(1))) :]
    forged = other[:22] + len(seal).to_bytes(2, "little") + other[24:] + seal
    with pytest.raises(ModelError, match="was changed after pump sealed it"):
        check_seal(forged, "m.dslm", operator.ticket("reader"))


def test_a_seal_of_another_authority_does_not_count(operator: Operator, tmp_path: Path) -> None:
    whole = with_seal(pack(example()), Operator(tmp_path / "other").ticket("stranger"))
    with pytest.raises(ModelError, match="another authority"):
        check_seal(whole, "m.dslm", operator.ticket("reader"))


def test_an_expired_seal_is_said_to_be(operator: Operator) -> None:
    whole = with_seal(pack(example()), operator.ticket("late", NOW - 90 * DAY, days=89))
    with pytest.raises(ModelError, match="its seal presents a certificate that ended"):
        check_seal(whole, "m.dslm", operator.ticket("reader"))
