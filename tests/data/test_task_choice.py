"""The operator's task against the data set's own."""

from __future__ import annotations

import numpy as np
import pytest

from dslnode.data.dataset import DataSet, Examples
from dslnode.data.target import Target, Task
from dslnode.data.task_choice import with_task
from dslnode.errors import SettingsError

LABELLED = DataSet(Examples(np.zeros((4, 2), np.float32), np.array([0, 1, 0, 2])), None, 3, "labels")
NUMBERS = DataSet(
    Examples(np.zeros((4, 2), np.float32), np.zeros(4, np.int64), values=np.ones((4, 1), np.float32)),
    None,
    2,
    "numbers",
    Target(task=Task.REGRESSION, units=("mm",)),
)


@pytest.mark.parametrize("data", [LABELLED, NUMBERS], ids=lambda data: data.name)
def test_the_data_sets_own_task_stays(data: DataSet) -> None:
    assert with_task(data, "") is data
    assert with_task(data, data.target.task) is data


@pytest.mark.parametrize("data", [LABELLED, NUMBERS], ids=lambda data: data.name)
def test_a_task_of_ones_own_goes_with_any_data(data: DataSet) -> None:
    found = with_task(data, "mine:Task")
    assert found.target.task == "mine:Task"
    assert found.target.units == data.target.units


def test_labelled_data_serve_to_find_anomalies_and_then_the_model_outputs_its_input() -> None:
    found = with_task(LABELLED, Task.ANOMALY)
    assert (found.target.task, found.output_count) == (Task.ANOMALY, 2)


@pytest.mark.parametrize(
    ("data", "task", "words"),
    [
        (LABELLED, Task.REGRESSION, "is for classification: its examples have labels of 3 classes"),
        (NUMBERS, Task.CLASSIFICATION, "is for regression: its examples have values"),
        (NUMBERS, Task.ANOMALY, "is for regression"),
    ],
)
def test_a_contradiction_is_an_error_with_both_sides(data: DataSet, task: Task, words: str) -> None:
    with pytest.raises(SettingsError, match=f"--task {task} contradicts --data {data.name}, which {words}"):
        with_task(data, task)
