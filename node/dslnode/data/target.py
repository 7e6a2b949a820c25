"""What a model of a data set answers: the task, and the names, units and scale of its outputs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Task(StrEnum):
    """The built-in tasks. Anything else in a ``Target`` is a user's ``module:Task``."""

    CLASSIFICATION = "classification"
    MULTILABEL = "multilabel"
    REGRESSION = "regression"
    FORECAST = "forecast"
    ANOMALY = "anomaly"


@dataclass(frozen=True, kw_only=True)
class Target:
    """The task and, as far as they are known, what its outputs are called and how they are scaled.

    ``names`` are class names for classification (one per class, or none if only numbers are known) and else one
    name per output: flags, numbers, or steps ahead. A number of the original unit is ``centre + scale * output``;
    empty ``centre`` and ``scale`` stand for 0 and 1. ``units`` are for people. Of a forecast, ``last_values`` say where
    in the flattened input the last known value of each output stands, in the scale of the outputs.
    """

    task: str = Task.CLASSIFICATION
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    centre: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    last_values: tuple[int, ...] = ()

    def class_name(self, label: int) -> str:
        """Return the name of a class, or its number where names are not known."""
        return self.names[label] if label < len(self.names) else str(label)
