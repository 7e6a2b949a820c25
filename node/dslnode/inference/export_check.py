"""What every exported form of a model says of its outputs, and the check that it answers as the model itself does."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from dslnode.errors import ModelError
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.inference.predictor import interpret

TOLERANCE = 1e-3
"""By how much an output may differ, absolutely and by its size: float32 in another order."""
TIE = 1e-5
Array = NDArray[np.float32]


def metadata(model: PersonalModelFile) -> dict[str, str]:
    """Return what the outputs mean, as JSON where it is more than a word."""
    description = model.description
    lists = {name: getattr(description, name) for name in ("names", "units", "centre", "scale", "answers")}
    threshold = {} if model.threshold is None else {"threshold": repr(model.threshold)}
    plain = {"model": description.model, "task": description.task, "round": str(model.round)}
    return plain | threshold | {name: json.dumps(values) for name, values in lists.items()}


def ties(outputs: Array) -> NDArray[np.bool_]:
    """Return which rows of outputs (n, outputs) have two best ones that differ by rounding alone, (n,).

    Sums of equal weights are often equal; which class then wins depends on the order of the additions.
    """
    if outputs.shape[1] < 2:
        return np.zeros(len(outputs), bool)
    second, best = np.sort(outputs, axis=1)[:, -2:].T
    tied: NDArray[np.bool_] = best - second <= TIE * (1 + np.abs(best))
    return tied


def checked_difference(
    model: PersonalModelFile, found: Array, expected: Array, rows: Array, *, runtime: str, exact: bool = False
) -> float:
    """Return the largest difference of raw outputs (n, outputs) that a runtime found to those expected.

    Raises ``ModelError`` that names the runtime if it is too large, or a class differs that is no tie; any difference
    is too large where it must be ``exact``.
    """
    difference = float(np.abs(found - expected).max(initial=0.0))
    classes, wanted = (interpret(model, outputs, rows).classes for outputs in (found, expected))
    alike = classes is None or not ((classes != np.asarray(wanted)) & ~ties(expected)).any()
    close = difference == 0 if exact else np.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)
    if not alike or not close:
        raise ModelError(f"{runtime} answers otherwise, by up to {difference:g}; report it, and use --format dslm")
    return difference
