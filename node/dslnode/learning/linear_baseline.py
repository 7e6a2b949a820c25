"""The linear model that a node is compared with: ridge regression in closed form, in numpy, at a bounded cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dslnode.data.dataset import Examples

MAX_VALUES = 2_000_000
"""Numbers of the training inputs that it looks at: of larger data, rows spread evenly over all."""
MAX_UNKNOWNS = 1_000
"""Rows where inputs are wider than that: the equations are then as many as the rows."""
RIDGE = 1.0  # of standardised inputs; in examples
BATCH = 4_096


def linear_outputs(
    train: Examples,
    wanted_of: Callable[[NDArray[np.int64]], NDArray[Any]],
    held_out: Examples,
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return what a linear model answers for the held-out examples, (m, outputs).

    It is fitted to what ``wanted_of`` returns, (rows, outputs), for some rows of the training examples. ``weights``
    (n,) say how much each of these counts.
    """
    rows = _rows(train)
    wanted = wanted_of(rows).astype(np.float64)
    inputs = _flat(train.take(rows))
    centre, spread = inputs.mean(axis=0), inputs.std(axis=0)
    spread[spread == 0] = 1
    inputs = (inputs - centre) / spread
    counts = np.ones(len(rows)) if weights is None else weights[rows]
    mean = np.average(wanted, axis=0, weights=counts)
    shift = np.average(inputs, axis=0, weights=counts)
    root = np.sqrt(counts)[:, None]
    slopes = _ridge((inputs - shift) * root, (wanted - mean) * root)
    parts = [
        ((_flat(held_out.take(np.arange(start, min(start + BATCH, len(held_out))))) - centre) / spread - shift) @ slopes
        for start in range(0, len(held_out), BATCH)
    ]
    answers: NDArray[np.float64] = np.concatenate(parts) + mean
    return answers


def _rows(train: Examples) -> NDArray[np.int64]:
    width = max(1, train.stored[0].size)
    count = min(len(train), max(1, MAX_VALUES // width))
    if width > MAX_UNKNOWNS:
        count = min(count, MAX_UNKNOWNS)
    rows: NDArray[np.int64] = np.arange(count) * len(train) // count
    return rows


def _flat(examples: Examples) -> NDArray[np.float64]:
    return examples.images.reshape(len(examples), -1).astype(np.float64)


def _ridge(inputs: NDArray[np.float64], wanted: NDArray[Any]) -> NDArray[Any]:
    """Return the slopes (width, outputs); by rows or by columns, whichever are fewer equations."""
    count, width = inputs.shape
    if width <= count:
        return np.asarray(np.linalg.solve(inputs.T @ inputs + RIDGE * np.eye(width), inputs.T @ wanted))
    return np.asarray(inputs.T @ np.linalg.solve(inputs @ inputs.T + RIDGE * np.eye(count), wanted))
