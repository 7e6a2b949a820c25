"""Percentages and amounts as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.cli.formatting import exact_percent, percent, si_amount


@pytest.mark.parametrize(
    ("fraction", "text"), [(None, "-"), (0.0, "0.0 %"), (0.9754, "97.5 %"), (1.0, "100.0 %"), (-0.25, "-25.0 %")]
)
def test_percentages(fraction: float | None, text: str) -> None:
    assert percent(fraction) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.9, "90.0 %"), (0.9999, "99.99 %"), (0.123456, "12.3456 %"), (1.0, "100.0 %"), (0.29, "29.0 %")],
)
def test_what_a_user_gave_is_said_as_it_was_given(fraction: float, text: str) -> None:
    assert exact_percent(fraction) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.6, "1.0 kB"),
        (1_200_000, "1.2 MB"),
        (99_960, "100 kB"),
        (999_950, "1.0 MB"),
        (5 * 10**15, "5 PB"),
    ],
)
def test_amounts(amount: float, text: str) -> None:
    assert si_amount(amount) == text


@given(st.integers(0, 10**18 - 10**15))
def test_amounts_stay_short(amount: int) -> None:
    assert len(si_amount(amount, "bit")) <= len("99.9 Mbit") + 2
