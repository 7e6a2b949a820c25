"""The arrays that tables become: scales, missing cells, categories, times, targets, and keys that survive growth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.data.dataset import load_data_set
from dslnode.data.partition import split_held_out
from dslnode.data.target import Task
from dslnode.errors import DataError
from tests.damaged_files import fuzz
from tests.data.tables.files import load_text, rows


def test_columns_of_unlike_size_are_scaled_alike(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    lines = [
        f"{20 + x},{100_000 + 4_000 * y},{'ab'[i % 2]}" for i, (x, y) in enumerate(generator.normal(size=(400, 2)))
    ]
    inputs = load_text(tmp_path, "t,rpm,label\n" + "\n".join(lines) + "\n").train.images
    np.testing.assert_allclose(np.median(inputs, axis=0), 0, atol=0.01)
    np.testing.assert_allclose(inputs.std(axis=0), 1, atol=0.15)


def test_wild_values_change_no_scale_and_are_cut(tmp_path: Path) -> None:
    values = [*np.linspace(0, 1, 95), *[-999_999] * 5]
    text = "x,label\n" + "".join(f"{value},{'ab'[i % 2]}\n" for i, value in enumerate(values))
    inputs = load_text(tmp_path, text).train.images[:, 0]
    assert inputs.min() == -10
    assert 2 < np.ptp(inputs[:95]) < 4


def test_missing_cells(tmp_path: Path) -> None:
    text = "x,y,label\n" + "".join(f"{'' if n == 3 else n * n},{n % 7},{'ab'[n % 2]}\n" for n in range(20))
    data = load_text(tmp_path, text)
    assert data.schema is not None
    assert data.schema.input_names == ("x", "x missing", "y")
    assert data.train.images[3, :2].tolist() == [0, 1]
    assert data.train.images[:, 1].sum() == 1
    assert "missing cells: x (1)" in data.notes
    assert load_text(tmp_path, text, "missing=median").input_shape == (2,)
    dropped = load_text(tmp_path, text, "missing=drop")
    assert (dropped.input_shape, len(dropped.train)) == ((2,), 19)
    assert "left out: 1 rows without x" in dropped.notes


def test_rows_without_a_target_are_left_out_and_counted(tmp_path: Path) -> None:
    data = load_text(tmp_path, "x,label\n" + "".join(f"{n * n},{'' if n == 3 else 'ab'[n % 2]}\n" for n in range(20)))
    assert (len(data.train), data.class_count) == (19, 2)
    assert "left out: 1 rows without a target" in data.notes


def test_categories_and_flags(tmp_path: Path) -> None:
    text = "colour,on,label\n" + "".join(f"{'rgb'[n % 3]},{'yes' if n % 4 else 'no'},{n % 2}\n" for n in range(20))
    data = load_text(tmp_path, text)
    assert data.schema is not None
    assert data.schema.input_names == ("colour=b", "colour=g", "colour=r", "on")
    assert data.train.images[:3].tolist() == [[0, 0, 1, 0], [0, 1, 0, 1], [1, 0, 0, 1]]


def test_times_become_places_on_circles(tmp_path: Path) -> None:
    text = "t,x,label\n" + "".join(f"2024-01-{1 + n // 4:02} {6 * (n % 4):02}:00,{n * n},{n % 2}\n" for n in range(80))
    data = load_text(tmp_path, text)
    assert data.schema is not None
    assert data.schema.input_names[:2] == ("t day sine", "t day cosine")
    np.testing.assert_allclose(data.train.images[:4, :2], [[0, 1], [1, 0], [0, -1], [-1, 0]], atol=1e-6)
    np.testing.assert_allclose(np.square(data.train.images[:, :2]).sum(axis=1), 1, atol=1e-5)


def test_the_values_of_a_regression_can_be_turned_back(tmp_path: Path) -> None:
    prices = [100 + n * n for n in range(40)]
    data = load_text(tmp_path, "a,price_kwh\n" + "".join(f"{n / 7},{price}\n" for n, price in enumerate(prices)))
    assert data.train.values is not None
    assert (data.train.values.shape, data.class_count, data.output_count) == ((40, 1), 1, 1)
    assert (data.target.names, data.target.units) == (("price_kwh",), ("kwh",))
    np.testing.assert_allclose(
        data.target.centre[0] + data.target.scale[0] * data.train.values[:, 0], prices, rtol=1e-4
    )


def test_anomalies(tmp_path: Path) -> None:
    text = "a,b,state\n" + rows(30, "{a},{b},{c}")
    data = load_text(tmp_path, text, "task=anomaly&target=state")
    assert (data.class_count, data.target.names) == (2, ("normal", "anomaly"))
    assert data.train.labels.tolist()[:3] == [0, 1, 1]
    assert data.train.values is None
    unlabelled = load_text(tmp_path, "a,b\n" + rows(30, "{a},{b}"), "task=anomaly")
    assert (unlabelled.class_count, unlabelled.train.labels.sum(), unlabelled.input_shape) == (1, 0, (2,))


def test_the_task_of_a_setting_wins(tmp_path: Path) -> None:
    text = "a,b\n" + "".join(f"{n * n / 7},{n % 5}\n" for n in range(30))
    assert load_text(tmp_path, text, task="regression").target.task == Task.REGRESSION


identities = st.lists(st.integers(0, 10**6), min_size=8, max_size=60, unique=True)


@fuzz
@given(identities, st.integers(1, 40), st.floats(0.05, 0.6))
def test_no_row_that_was_trained_on_is_tested_on_when_a_file_grows(
    tmp_path: Path, numbers: list[int], more: int, fraction: float
) -> None:
    def sides(count: int) -> tuple[set[float], set[float]]:
        lines = [f"{number},{number % 97},{position % 2}" for position, number in enumerate(numbers[:count])]
        data = load_text(tmp_path, "identity,b,label\n" + "\n".join(lines) + "\n", "task=regression&target=identity")
        try:
            split = split_held_out(data, fraction, seed=1)
        except DataError:
            return set(), set()
        assert split.held_out is not None
        found = []
        for part in (split.train, split.held_out):
            assert part.values is not None
            found.append({round(float(v * data.target.scale[0] + data.target.centre[0]), 0) for v in part.values[:, 0]})
        return found[0], found[1]

    (trained, _), (_, tested) = sides(max(4, len(numbers) - more)), sides(len(numbers))
    assert not trained & tested


def test_about_the_fraction_is_held_out_and_equal_rows_stay_together(tmp_path: Path) -> None:
    text = "a,b,c\n" + rows(2000, "{a},{b},{c}")
    split = split_held_out(load_text(tmp_path, text), 0.2, seed=1)
    assert split.held_out is not None
    unlike = {
        (*row, label)
        for row, label in zip(split.train.images.tolist(), split.train.labels, strict=True)
        for row in [tuple(row)]
    }
    tested = {
        (*tuple(row), label) for row, label in zip(split.held_out.images.tolist(), split.held_out.labels, strict=True)
    }
    assert not unlike & tested
    generator = np.random.default_rng(3)
    lines = "".join(f"{value},{'ab'[i % 2]}\n" for i, value in enumerate(generator.normal(size=3000)))
    split = split_held_out(load_text(tmp_path, "x,label\n" + lines), 0.2, seed=1)
    assert split.held_out is not None
    assert 520 < len(split.held_out) < 680


def test_a_table_too_small_to_hold_anything_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="provide more data"):
        split_held_out(load_text(tmp_path, "a,label\n1,x\n2,x\n1,x\n1,y\n", "target=label"), 0.999, seed=1)


def test_a_table_can_be_read_by_its_own_schema(tmp_path: Path) -> None:
    data = load_text(tmp_path, "a,b,c\n" + rows(60))
    assert data.schema is not None
    again = load_data_set(f"csv:{tmp_path / 'a.csv'}", schema=data.schema)
    np.testing.assert_array_equal(again.train.images, data.train.images)
    run = data.schema.model_copy(update={"scaling": "run"})
    (tmp_path / "a.csv").write_text("b,c,a,more\n" + rows(9, "{b},{c},{a},x"))
    other = load_data_set(f"csv:{tmp_path / 'a.csv'}", schema=run)
    np.testing.assert_array_equal(other.train.images, data.train.images[:9])
    (tmp_path / "a.csv").write_text("a,b,c\n" + rows(9).replace("worn", "melted"))
    with pytest.raises(DataError, match=r"line 3, column 'c': 'melted' is not one of the classes off, ok, worn"):
        load_data_set(f"csv:{tmp_path / 'a.csv'}", schema=run)
    (tmp_path / "a.csv").write_text("a,c\n" + rows(9, "{a},{c}"))
    with pytest.raises(DataError, match=r"schema's column 'b' is not in the file, whose columns are a, c"):
        load_data_set(f"csv:{tmp_path / 'a.csv'}", schema=run)
    (tmp_path / "a.csv").write_text("a,b,c\n1,2,ok\n1,two,ok\n")
    with pytest.raises(DataError, match=r"line 3, column 'b': 'two' is not a number; correct it"):
        load_data_set(f"csv:{tmp_path / 'a.csv'}", schema=run)


def test_unknown_categories_are_counted(tmp_path: Path) -> None:
    text = "colour,b,label\n" + "".join(f"{'rgb'[n % 3]},{n * n},{n % 2}\n" for n in range(20))
    schema = load_text(tmp_path, text).schema
    (tmp_path / "a.csv").write_text(text.replace("g,", "pink,"))
    data = load_data_set(f"csv:{tmp_path / 'a.csv'}", schema=schema)
    assert data.train.images[1, :3].tolist() == [0, 0, 0]
    assert "unknown categories in colour: 7 cells, which count as none of the known ones" in data.notes
