"""Series: windows by group and time, forecasts, and what of them is held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dslnode.data.partition import split_held_out
from dslnode.data.target import Task
from dslnode.errors import DataError
from tests.data.tables.files import load_text


def series(count: int, machine: str = "m1") -> list[str]:
    return [
        f"{machine},2024-01-01 {n // 60:02}:{n % 60:02}:00,{n * n % 23},{n / 2},{'ok' if n < 20 else 'worn'}"
        for n in range(count)
    ]


HEADER = "machine,time,x,y,state\n"


def test_a_forecast_foretells_the_next_steps_of_the_target(tmp_path: Path) -> None:
    data = load_text(tmp_path, HEADER + "\n".join(series(40)) + "\n", "target=y&horizon=3&window=5&drop=machine,state")
    assert data.target.task == Task.FORECAST
    assert data.target.names == ("y+1", "y+2", "y+3")
    assert data.input_shape[0] == 5
    assert data.train.values is not None
    assert len(data.train) == 40 - 5 - 3 + 1
    turned_back = data.target.centre[0] + data.target.scale[0] * data.train.values
    np.testing.assert_allclose(turned_back[0], [2.5, 3.0, 3.5], rtol=1e-4)
    last = data.train.images.reshape(len(data.train), -1)[:, list(data.target.last_values)]
    np.testing.assert_allclose(last[1:, 0], data.train.values[:-1, 0], rtol=1e-4)


def test_rows_are_put_in_order_and_no_window_spans_two_machines(tmp_path: Path) -> None:
    lines = [line for pair in zip(series(20, "m1"), series(20, "m2"), strict=True) for line in reversed(pair)]
    data = load_text(
        tmp_path,
        HEADER + "\n".join(reversed(lines)) + "\n",
        "target=y&window=4&stride=2&group=machine&task=regression&drop=state",
    )
    assert data.schema is not None
    assert len(data.train) == 2 * 9
    position = data.schema.input_names.index("x")
    np.testing.assert_allclose(data.train.images[0, :, position], data.train.images[9, :, position])
    assert "machine=m1" not in data.schema.input_names


def test_the_label_of_a_window_is_that_of_its_last_row(tmp_path: Path) -> None:
    data = load_text(tmp_path, HEADER + "\n".join(series(40)) + "\n", "window=5&target=state")
    assert data.target.names == ("ok", "worn")
    assert data.train.labels.tolist() == [0] * 16 + [1] * 20


def test_the_end_of_the_time_is_held_out_and_no_forecast_of_it_is_trained_on(tmp_path: Path) -> None:
    text = "y\n" + "".join(f"{n / 2}\n" for n in range(100))
    data = load_text(tmp_path, text, "horizon=2&window=4")
    split = split_held_out(data, 0.2, seed=1)
    assert split.held_out is not None
    assert split.train.values is not None
    assert split.held_out.values is not None
    assert split.train.values.max() < split.held_out.values.min()
    assert len(split.train) + len(split.held_out) == len(data.train) - 1
    assert 17 <= len(split.held_out) <= 20


def test_a_growing_series_tests_nothing_that_was_trained_on(tmp_path: Path) -> None:
    trained: set[float] = set()
    for count in (40, 55, 90, 91):
        data = load_text(tmp_path, "y\n" + "".join(f"{n}\n" for n in range(count)), "horizon=1&window=3")
        split = split_held_out(data, 0.2, seed=1)
        assert split.train.values is not None
        assert split.held_out is not None
        assert split.held_out.values is not None
        centre, scale = data.target.centre[0], data.target.scale[0]
        tested = {round(float(centre + scale * v)) for v in split.held_out.values[:, 0]}
        assert not tested & trained
        trained |= {round(float(centre + scale * v)) for v in split.train.values[:, 0]}


def test_with_enough_groups_whole_groups_are_held_out(tmp_path: Path) -> None:
    lines = [line for number in range(30) for line in series(30, f"m{number}")]
    data = load_text(tmp_path, HEADER + "\n".join(lines) + "\n", "window=5&group=machine")
    assert data.train.keys is not None
    assert len(np.unique(data.train.keys)) == 30
    assert (data.train.keys[:, 0] == data.train.keys[:, 1]).all()


def test_a_window_longer_than_the_series_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs 51 rows of one group, and the longest group has 40; give a smaller"):
        load_text(tmp_path, HEADER + "\n".join(series(40)) + "\n", "window=50&horizon=1&target=y")
