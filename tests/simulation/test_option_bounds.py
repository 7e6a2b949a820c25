"""No number of an option is outside of its bounds, and none is NaN or infinite."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from dslnode.config.settings import Settings
from dslnode.errors import SettingsError
from dslnode.simulation.grid import OPTION_FIELDS, varied
from dslnode.simulation.option_bounds import BOUNDS
from dslnode.simulation.simulation import SimulationOptions

OPTIONS = SimulationOptions(nodes=4, topology="ring")
FIELDS = {name: OPTION_FIELDS[name.replace("-", "_")] for name in BOUNDS}


def with_value(name: str, value: float) -> SimulationOptions:
    """Return options of which one has this value."""
    given: dict[str, Any] = {FIELDS[name]: value}
    return replace(OPTIONS, **given)


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_refused(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"--{name} {value}: takes a number from"):
        with_value(name, value)


@pytest.mark.parametrize("name", BOUNDS)
def test_the_bounds_belong_to_what_is_possible(name: str) -> None:
    for bound, beyond in zip(BOUNDS[name], (-math.inf, math.inf), strict=True):
        assert getattr(with_value(name, bound), FIELDS[name]) == bound
        with pytest.raises(SettingsError, match=f"--{name}"):
            with_value(name, math.nextafter(bound, beyond))


def test_every_number_has_bounds() -> None:
    numbers = {name for name, kind in SimulationOptions.__annotations__.items() if "int" in kind or "float" in kind}
    assert numbers == set(FIELDS.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [("nodes", "0"), ("nodes", "-1"), ("parts", "-1"), ("churn", "1"), ("step_time", "nan"), ("step_time", "1e-18")],
)
def test_a_grid_has_the_same_bounds(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"--{name.replace('_', '-')} .*: takes a number from"):
        varied(Settings(name="simulated"), OPTIONS, {name: value})
