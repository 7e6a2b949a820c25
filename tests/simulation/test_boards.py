"""Boards are drawn from a seed: speeds, absences, keep ratios."""

from __future__ import annotations

from statistics import mean, median, stdev

import numpy as np
import pytest

from dslnode.errors import SettingsError
from dslnode.simulation.boards import ABSENT_ROUNDS, absence_rounds, drawn_step_seconds, parse_keep_ratios


def test_speeds_are_lognormal_around_the_median() -> None:
    seconds = drawn_step_seconds(0.02, 0.5, 4_000, 1)
    assert median(seconds) == pytest.approx(0.02, rel=0.05)
    assert stdev(np.log(seconds)) == pytest.approx(0.5, rel=0.05)
    assert set(drawn_step_seconds(0.02, 0.0, 5, 1)) == {0.02}


def test_absences_come_with_their_probability_and_last_a_few_rounds() -> None:
    generator = np.random.Generator(np.random.PCG64(1))
    rounds = [absence_rounds(0.25, generator) for _ in range(4_000)]
    away = [each for each in rounds if each]
    assert len(away) / len(rounds) == pytest.approx(0.25, rel=0.1)
    assert mean(away) == pytest.approx(ABSENT_ROUNDS, rel=0.1)


def test_a_range_of_keep_ratios_is_five_of_them() -> None:
    assert parse_keep_ratios("0.3") == (0.3,)
    assert parse_keep_ratios("0.1..0.5") == (0.1, 0.2, 0.3, 0.4, 0.5)


@pytest.mark.parametrize("text", ["0", "1.1", "0.5..0.1", "..", "a..b", "nan"])
def test_what_is_no_keep_ratio_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"as 0\.1\.\.0\.7"):
        parse_keep_ratios(text)
