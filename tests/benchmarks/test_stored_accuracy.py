"""Rows of finished runs in the stored table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.accuracy.stored import rounded, take_rows

ROW = {
    "case": "a",
    "model": "cnn",
    "method": "ours",
    "accuracy": 91.26,
    "worst_node": 70.04,
    "validation": 92.0,
    "payload_bits": 254_123_456,
    "seconds": 400.0,
    "bits_to_match_ours": None,
}


def test_a_row_keeps_the_digits_that_mean_something_and_no_times() -> None:
    assert rounded(ROW) == {
        "case": "a", "model": "cnn", "method": "ours", "accuracy": 91.3, "worst_node": 70.0, "validation": 92.0,
        "payload_bits": 254_100_000.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "order"),
    [
        ("ours", [("a", "ours"), ("a", "dpsgd"), ("b", "ours")]),
        ("ours_binary", [("a", "ours"), ("a", "dpsgd"), ("a", "ours_binary"), ("b", "ours")]),
    ],
)
def test_rows_replace_those_of_their_method_or_follow_their_case(
    tmp_path: Path, method: str, order: list[tuple[str, str]]
) -> None:
    file = tmp_path / "stored.json"
    rows = [
        {"case": case, "model": "cnn", "method": name} for case, name in [("a", "ours"), ("a", "dpsgd"), ("b", "ours")]
    ]
    file.write_text(json.dumps({"note": "kept", "rows": rows}))
    take_rows(file, [{**ROW, "method": method}])
    stored = json.loads(file.read_text())
    assert stored["note"] == "kept"
    assert [(row["case"], row["method"]) for row in stored["rows"]] == order
    taken = stored["rows"][order.index(("a", method))]
    assert taken["accuracy"] == 91.3


def test_a_case_that_is_new_comes_last(tmp_path: Path) -> None:
    file = tmp_path / "stored.json"
    file.write_text(json.dumps({"rows": [{"case": "b", "model": "cnn", "method": "ours"}]}))
    take_rows(file, [ROW])
    assert [row["case"] for row in json.loads(file.read_text())["rows"]] == ["b", "a"]
