"""How a model's file holds ``centre + scale * output`` of classes: as an operation after all others.

Whatever answers by a file runs its operations, so the class prior is in logits and probabilities wherever a model runs.
The units of numbers stand in the file's description instead: there raw outputs stay those of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dslnode.inference.operations import ANSWER_UNITS, Operation
from dslnode.learning.tasks.task import LearningTask

SCALE, CENTRE = ANSWER_UNITS.gain, ANSWER_UNITS.shift
"""The names of the operation's two tensors."""


def answer_tensors(task: LearningTask, outputs: int) -> dict[str, NDArray[np.float32]]:
    """Return scale and centre by name, float32 (outputs,) each; nothing unless these change the logits of classes."""
    centre, scale = task.original_units()
    if not task.has_classes or (not centre.any() and bool((scale == 1).all())):
        return {}
    return {SCALE: scale.float().expand(outputs).numpy().copy(), CENTRE: centre.float().expand(outputs).numpy().copy()}


def same_units(tensors: Mapping[str, NDArray[Any]], own: Mapping[str, NDArray[Any]]) -> bool:
    """Return whether tensors of a file, by name, hold the same units as a node's ``own``, and none if it has none."""
    held = {name: tensors[name] for name in (SCALE, CENTRE) if name in tensors}
    return held.keys() == own.keys() and all(
        held[name].shape == own[name].shape and np.allclose(held[name], own[name]) for name in own
    )


def without_answer_units(operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    """Return what the network itself does: answers of its classes may be in other units on every node."""
    return tuple(operation for operation in operations if operation != ANSWER_UNITS)
