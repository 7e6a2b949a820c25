"""What the numbers of a simulation's options may be, wherever they come from: command line, grid or another program."""

from __future__ import annotations

import math

from dslnode.data.partition import MAX_SHARES
from dslnode.errors import SettingsError
from dslnode.simulation.boards import MAX_SPEED_SIGMA
from dslnode.simulation.graph import MAX_NODES

DAY_SECONDS = 86_400.0
BOUNDS: dict[str, tuple[float, float]] = {
    "nodes": (1, MAX_NODES),
    "churn": (0, math.nextafter(1, 0)),
    "speed": (0, MAX_SPEED_SIGMA),
    "step-time": (1e-6, DAY_SECONDS),
    "parts": (0, MAX_SHARES),
    "wait-for-peers": (0, DAY_SECONDS),
    "method-rate": (0, 1e6),
    "until": (-1e9, 1e9),
}
"""The least and the greatest value of each option, by its name. Times are in seconds."""


def check_bounds(values: dict[str, float | None]) -> None:
    """Raise ``SettingsError`` if one of these options is not within its bounds, or no number; None is not given."""
    for name, value in values.items():
        least, greatest = BOUNDS[name]
        if value is not None and not least <= value <= greatest:  # NaN is not either
            raise SettingsError(f"--{name} {value}: takes a number from {_text(least)} to {_text(greatest)}")


def _text(bound: float) -> str:
    return "below 1" if bound == BOUNDS["churn"][1] else f"{bound:,.10g}"
