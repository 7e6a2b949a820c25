"""The task that a data set asks for: a built-in one by name, or a user's ``module:Task``."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial

from dslnode.data.dataset import DataSet
from dslnode.data.target import Task
from dslnode.errors import DslnodeError, SettingsError
from dslnode.learning.options import DEFAULT_TRAINING, UnevenClasses
from dslnode.learning.tasks.anomaly import Anomaly
from dslnode.learning.tasks.classification import Classification
from dslnode.learning.tasks.multilabel import MultiLabel
from dslnode.learning.tasks.regression import Forecast, Regression
from dslnode.learning.tasks.task import LearningTask
from dslnode.plugins import load_object

BUILT_IN: dict[str, type[LearningTask]] = {
    Task.CLASSIFICATION.value: Classification,
    Task.MULTILABEL.value: MultiLabel,
    Task.REGRESSION.value: Regression,
    Task.FORECAST.value: Forecast,
    Task.ANOMALY.value: Anomaly,
}


def learning_task(data: DataSet, uneven_classes: UnevenClasses = DEFAULT_TRAINING.uneven_classes) -> LearningTask:
    """Return the task of a node's data. ``uneven_classes`` matters to classification alone.

    Raises ``SettingsError`` if there is no such task, ``DataError`` if the data do not suit it.
    """
    name = data.target.task
    if name not in BUILT_IN and ":" not in name:
        near = difflib.get_close_matches(name, BUILT_IN, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise SettingsError(f"unknown task {name!r}{hint}; known are {', '.join(BUILT_IN)}, and module:Task")
    make: Callable[[DataSet], object] = BUILT_IN.get(name) or load_object(name)
    if make is Classification:
        make = partial(Classification, uneven_classes=uneven_classes)
    try:
        task = make(data)
    except DslnodeError:
        raise
    # It is the user's code, so anything can come out of it.
    except (Exception, SystemExit) as error:
        raise SettingsError(f"--task {name}: making it failed: {type(error).__name__}: {error}") from error
    if not isinstance(task, LearningTask):
        raise SettingsError(f"--task {name}: is of type {type(task).__name__}; derive it from dslnode.LearningTask")
    return task
