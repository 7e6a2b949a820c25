"""What boards are like, as values: how fast each computes, how often it is away, which keep ratio it has."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dslnode.errors import SettingsError

ABSENT_ROUNDS = 3.0
"""Mean length of an absence, in rounds of the node itself."""
AGGREGATION_STEPS = 1.0
STEPS_PER_NEIGHBOUR = 0.5
"""What aggregation takes, in local steps: for itself, and per neighbour (digits, mlp: docs/simulation.md)."""
KEEP_RATIO_STEPS = 5
MAX_SPEED_SIGMA = 3.0


@dataclass(frozen=True)
class Board:
    """One simulated board: seconds per local step, keep ratio, number of its part of the data, and whether it lies."""

    step_seconds: float
    keep_ratio: float
    part: int
    hostile: str = ""


def aggregation_steps(neighbours: int) -> float:
    """Return what it takes to aggregate so many neighbours' masks, in local steps."""
    return AGGREGATION_STEPS + STEPS_PER_NEIGHBOUR * neighbours


def node_name(number: int) -> str:
    """Return the name of a simulated node, by its number from 0: its host name, and what its own draws follow from."""
    return f"node-{number + 1}"


def drawn_step_seconds(median: float, sigma: float, count: int, seed: int) -> tuple[float, ...]:
    """Return the seconds per local step of every board: lognormal around the median; 0 makes all alike."""
    draws = np.random.Generator(np.random.PCG64([seed, count, 1])).standard_normal(count)
    return tuple(median * math.exp(sigma * float(draw)) for draw in draws)


def absence_rounds(probability: float, draws: np.random.Generator) -> float:
    """Return for how many rounds a node is away that has just finished one: 0 but with the probability."""
    return float(draws.exponential(ABSENT_ROUNDS)) if draws.random() < probability else 0.0


def parse_keep_ratios(text: str) -> tuple[float, ...]:
    """Return the keep ratios of ``0.3`` or ``0.1..0.7``: one, or five that are dealt to the nodes in turn.

    Raises ``SettingsError`` if they are not above 0 and at most 1.
    """
    low, dots, high = text.partition("..")
    try:
        bounds = float(low), float(high if dots else low)
    except ValueError:
        bounds = 0.0, 0.0
    if not 0 < bounds[0] <= bounds[1] <= 1:
        raise SettingsError(f"--keep-ratio {text}: is neither a ratio above 0 and at most 1, nor a range as 0.1..0.7")
    if bounds[0] == bounds[1]:
        return (bounds[0],)
    return tuple(round(float(ratio), 6) for ratio in np.linspace(*bounds, KEEP_RATIO_STEPS))
