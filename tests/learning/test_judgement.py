"""Figures about answers: against counts by hand and the definitions of the books."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.learning import judgement


def test_a_minority_that_is_never_found_shows() -> None:
    labels, answers = np.array([0] * 79 + [1]), np.zeros(80, np.int64)
    found = judgement.judge_classes(answers, labels, ("well", "broken"))
    assert found.value("accuracy") == pytest.approx(0.9875)
    assert found.value("balanced accuracy") == 0.5
    assert [(each.name, each.recall, each.precision) for each in found.classes] == [
        ("well", 1.0, 79 / 80),
        ("broken", 0.0, None),
    ]
    assert found.confusion == ((79, 0), (1, 0))


def test_classes_that_neither_occur_nor_are_answered_are_left_out() -> None:
    found = judgement.judge_classes(np.array([2, 4]), np.array([2, 2]), tuple("abcde"))
    assert [each.name for each in found.classes] == ["c", "e"]
    assert found.classes[1].examples == 0
    assert found.value("balanced accuracy") == 0.5


def test_flags_are_judged_one_by_one() -> None:
    flags = np.array([[1, 0], [1, 0], [0, 0], [0, 1]], bool)
    answers = np.array([[1, 0], [0, 0], [0, 0], [0, 1]], bool)
    found = judgement.judge_flags(answers, flags, ("hot", "loud"))
    assert found.value("balanced accuracy") == pytest.approx((0.75 + 1.0) / 2)
    assert found.value("all right") == 0.75
    assert [each.recall for each in found.classes] == [0.5, 1.0]


def test_r_squared_is_one_for_the_truth_and_zero_for_the_mean() -> None:
    numbers = np.array([[1.0, 5.0], [2.0, 5.0], [6.0, 5.0]])
    assert judgement.r_squared(numbers, numbers) == 1
    assert judgement.r_squared(np.repeat([[3.0, 5.0]], 3, axis=0), numbers) == 0
    assert judgement.r_squared(numbers[:, 1:], numbers[:, 1:]) == 0, "what never varies explains nothing"


def test_errors_are_in_the_unit_that_all_outputs_share() -> None:
    numbers = np.array([[10.0], [20.0]])
    found = judgement.judge_numbers(numbers + np.array([[3.0], [-4.0]]), numbers, ("mm",))
    assert found.value("MAE") == 3.5
    assert found.value("RMSE") == pytest.approx(12.5**0.5)
    assert [each.unit for each in found.metrics] == ["", "mm", "mm"]
    mixed = judgement.judge_numbers(np.zeros((2, 2)), np.ones((2, 2)), ("mm", "kg"))
    assert {each.unit for each in mixed.metrics} == {""}


scored = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=20)


@given(scored)
def test_the_area_under_the_roc_counts_pairs(examples: list[tuple[int, bool]]) -> None:
    values, anomalous = np.array([float(v) for v, _ in examples]), np.array([a for _, a in examples])
    pairs = list(itertools.product(values[anomalous], values[~anomalous]))
    wins = [1.0 if high > low else 0.5 if high == low else 0.0 for high, low in pairs]
    found = judgement.area_under_roc(values, anomalous)
    assert found == (pytest.approx(np.mean(wins)) if pairs else None)


@given(scored)
def test_average_precision_takes_ties_together(examples: list[tuple[int, bool]]) -> None:
    values, anomalous = np.array([float(v) for v, _ in examples]), np.array([a for _, a in examples])
    above = [(values >= threshold) for threshold in sorted(set(values), reverse=True)]
    recall = [0.0, *(float((anomalous & chosen).sum()) for chosen in above)]
    precision = [float((anomalous & chosen).sum() / chosen.sum()) for chosen in above]
    gains = np.diff(recall) @ np.array(precision)
    found = judgement.average_precision(values, anomalous)
    assert found == (pytest.approx(gains / anomalous.sum()) if anomalous.any() else None)
