"""Reconciles the task that the operator asks for with the one that the data set is for."""

from __future__ import annotations

from dataclasses import replace

from dslnode.data.dataset import DataSet
from dslnode.data.target import Task
from dslnode.errors import SettingsError


def with_task(data: DataSet, task: str) -> DataSet:
    """Return the data set for a task; as it is if `task` is empty or its own.

    A user's `module:Task` goes with any data. Labelled data also serve to find anomalies: class 0 is normal, all
    others are not. Raises SettingsError if the data set is for something else.
    """
    own = data.target.task
    if not task or task == own:
        return data
    if ":" in task or (task == Task.ANOMALY and data.train.values is None):
        return replace(data, target=replace(data.target, task=task))
    has = "values" if data.train.values is not None else f"labels of {data.class_count} classes"
    raise SettingsError(
        f"--task {task} contradicts --data {data.name}, which is for {own}: its examples have {has};"
        " leave --task out, or give data with such targets"
    )
