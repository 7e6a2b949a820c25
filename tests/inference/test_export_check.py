"""What may differ between two runtimes, and what must not."""

from __future__ import annotations

import numpy as np
import pytest

from dslnode.errors import ModelError
from dslnode.inference.export_check import checked_difference, metadata, ties
from tests.inference.test_model_file import example

ROWS = np.zeros((2, 30), np.float32)
EXPECTED = np.array([[1, 2, 3], [1, 3, 3]], np.float32)


def test_a_tie_may_go_either_way() -> None:
    found = EXPECTED + np.array([[0, 0, 0], [0, 1e-6, 0]], np.float32)
    assert ties(EXPECTED).tolist() == [False, True]
    assert checked_difference(example(), found, EXPECTED, ROWS, runtime="x") == pytest.approx(1e-6, rel=0.1)


@pytest.mark.parametrize(("row", "change"), [(0, 0.1), (1, 0.1), (0, np.nan)])
def test_anything_else_is_refused(row: int, change: float) -> None:
    found = EXPECTED.copy()
    found[row, 0] += change
    with pytest.raises(ModelError, match="x answers otherwise, by up to"):
        checked_difference(example(), found, EXPECTED, ROWS, runtime="x")


def test_what_must_be_exact_may_not_differ_at_all() -> None:
    with pytest.raises(ModelError, match="otherwise"):
        checked_difference(example(), EXPECTED + np.float32(1e-6), EXPECTED, ROWS, runtime="x", exact=True)


def test_a_single_output_has_no_ties() -> None:
    assert ties(np.ones((3, 1), np.float32)).tolist() == [False] * 3


def test_metadata_are_text() -> None:
    assert metadata(example())["names"] == '["idle", "worn", "broken"]'
