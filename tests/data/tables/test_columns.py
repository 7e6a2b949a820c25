"""What columns are taken for: targets, numbers, flags, categories, points in time, and nothing to learn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dslnode.data.schema import Column, ColumnKind, Schema
from dslnode.data.target import Task
from dslnode.errors import DataError
from tests.data.tables.files import load_text, rows


def column(directory: Path, cells: list[str], name: str = "x") -> Column:
    """Return what a column of some cells is taken for, beside a target."""
    lines = [f'"{cell}",{i * 7 % 5 / 3},{"ab"[i % 2]}' for i, cell in enumerate(cells)]
    schema = load_text(directory, f"{name},other,label\n" + "\n".join(lines) + "\n").schema
    assert isinstance(schema, Schema)
    return schema.columns[0]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1.5", "2", "-3e4", "+7"], ColumnKind.NUMBER),
        (["1,234.5", "2,000,000", "$12", "40 %"], ColumnKind.NUMBER),
        (["1", "?", "3", "NA", "", "n/a", "7.5", "-"], ColumnKind.NUMBER),
        (["yes", "no", "YES", "no", "?"], ColumnKind.CATEGORY),
        (["yes", "no", "yes"], ColumnKind.FLAG),
        (["True", "False", "True", ""], ColumnKind.FLAG),
        (["red", "green", "red", "blue"], ColumnKind.CATEGORY),
        (["ann", "bob", "cid", "dan"], ColumnKind.IGNORED),
        (["7", "7", "7", "7"], ColumnKind.IGNORED),
        (["", "NA", "?"], ColumnKind.IGNORED),
        (["1", "2", "3", "4"], ColumnKind.IGNORED),
        (["2024-01-05", "2024-02-06T12:30", "2024-03-07 10:00:00+02:00"], ColumnKind.TIMESTAMP),
        (["31.12.2023", "01.01.2024", "02.01.2024"], ColumnKind.TIMESTAMP),
        (["12:30", "13:45", "00:10"], ColumnKind.TIMESTAMP),
        (["1974Q1", "1974Q2", "1974Q4"], ColumnKind.TIMESTAMP),
        (["Jan 1 2000", "Feb 1 2000", "Mar 1 2000"], ColumnKind.TIMESTAMP),
    ],
)
def test_kinds(tmp_path: Path, cells: list[str], kind: ColumnKind) -> None:
    assert column(tmp_path, cells).kind is kind


@pytest.mark.parametrize(
    ("cells", "name", "why"),
    [
        ([str(n * 31 % 1009) for n in range(30)], "machine_id", "an identifier"),
        ([str(n * 31 % 1009) for n in range(30)], "customerID", "an identifier"),
        ([str(n) for n in range(10, 40)], "index", "counts the rows"),
        (["4.0"] * 30, "x", "constant: always '4.0'"),
        ([f"note {n}" for n in range(30)], "x", "30 different texts in 30 rows"),
        ([f"{n}a" if n % 3 else str(n) for n in range(30)], "x", "numbers and texts mixed"),
    ],
)
def test_columns_without_use_are_named_with_the_reason(tmp_path: Path, cells: list[str], name: str, why: str) -> None:
    found = column(tmp_path, cells, name)
    assert found.kind is ColumnKind.IGNORED
    assert why in found.why


def test_points_in_time_as_numbers(tmp_path: Path) -> None:
    assert column(tmp_path, [str(1_700_000_000 + 977 * n) for n in range(9)], "timestamp").format == "epoch"
    assert column(tmp_path, [str(1_700_000_000_000 + 977 * n) for n in range(9)], "time_ms").format == "epoch_ms"
    assert column(tmp_path, ["19580329", "19580405", "19580412", "19580418"], "date").format == "%Y%m%d"
    assert column(tmp_path, ["19580329", "19580405", "19580412", "19580418"], "mass").kind is ColumnKind.NUMBER


def test_cycles_are_those_that_the_times_go_through(tmp_path: Path) -> None:
    hours = [f"2024-01-{1 + n // 24:02} {n % 24:02}:00" for n in range(24 * 20)]
    assert column(tmp_path, hours, "t").cycles == ("day", "week")
    days = [f"{2020 + n // 12}-{1 + n % 12:02}-01" for n in range(36)]
    assert column(tmp_path, days, "t").cycles == ("year",)
    assert column(tmp_path, ["2001-01-01", "2011-01-01", "2021-01-01"], "t").cycles == ("order",)


@pytest.mark.parametrize(
    ("name", "unit"),
    [("temperature [°C]", "°C"), ("speed (rpm)", "rpm"), ("pressure_kpa", "kpa"), ("speed", ""), ("c", "")],
)
def test_units_stand_in_names(tmp_path: Path, name: str, unit: str) -> None:
    assert column(tmp_path, ["1.5", "2.5", "7"], name).unit == unit


def test_a_text_among_many_numbers_stands_for_a_missing_one_and_is_said(tmp_path: Path) -> None:
    lines = "".join(f"{'broken' if n == 5 else n * n},{'ab'[n % 2]}\n" for n in range(30))
    data = load_text(tmp_path, "x,label\n" + lines)
    assert "taken for a missing number: 'broken' in x" in data.notes
    assert data.train.images[5].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("header", "options", "target"),
    [
        ("label,b,c", "", "label"),
        ("a,Outcome,c", "", "Outcome"),
        ("a,b,c", "", "c"),
        ("a,b,c", "target=b", "b"),
        ("a,b,c", "target=B", "b"),
        ("a,b,c", "drop=c&task=regression", "b"),
    ],
)
def test_the_target(tmp_path: Path, header: str, options: str, target: str) -> None:
    data = load_text(tmp_path, f"{header}\n" + rows(30), options)
    assert data.schema is not None
    assert data.schema.target == (target,)


def test_without_a_header_the_first_column_may_hold_the_classes(tmp_path: Path) -> None:
    text = "".join(f"{1 + n % 3},{n / 7},{n * n / 3}\n" for n in range(30))
    data = load_text(tmp_path, text)
    assert data.target.names == ("1", "2", "3")
    assert "the first column, whose values look like classes" in "; ".join(data.notes)
    assert load_text(tmp_path, text, "target=3").target.task == Task.REGRESSION


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a,b,name\n" + rows(9, "{a},{b},{a}{b}x"), "", "the last column, 'name', cannot be the target; name it with"),
        ("a,b,c\n" + rows(9), "target=d", "target=d: there is no such column; its columns are a, b, c"),
        ("alpha,b,c\n" + rows(9), "target=alfa", "did you mean 'alpha'"),
        ("a,b,c\n" + rows(9), "drop=q", "drop=q: there is no such column"),
        ("a,b,c\n" + rows(9), "target=c&task=regression", "'ok', which is no number"),
        ("a,b,c\n" + rows(9), "targit=c", "csv has no option 'targit'; did you mean target"),
        ("a,b,c\n" + rows(9), "window=0", "window=0: Input should be greater"),
        ("a,b,label\n" + rows(9, "{a},{b},x"), "", r"1 class\(es\) here where 2 or more are needed"),
        ("a,b,c\n" + rows(9), "task=multilabel", r"several labels at once need their columns: \?target="),
        ("a,b,c\n" + rows(9), "task=multilabel&target=a,b", "has more than two different values"),
    ],
)
def test_what_cannot_be_decided_is_refused_with_the_option_to_give(
    tmp_path: Path, text: str, options: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load_text(tmp_path, text, options)


def test_tasks_follow_from_the_target(tmp_path: Path) -> None:
    quality = "".join(f"{n / 7},{3 + n % 4}\n" for n in range(40))
    assert load_text(tmp_path, "a,quality\n" + quality).target.task == Task.CLASSIFICATION
    price = "".join(f"{n / 7},{100 + n * n}\n" for n in range(40))
    assert load_text(tmp_path, "a,price\n" + price).target.task == Task.REGRESSION
    flags = "".join(f"{n / 7},{n % 2},{n % 3 // 2}\n" for n in range(40))
    both = load_text(tmp_path, "a,leak,noise\n" + flags, "target=leak,noise")
    assert (both.target.task, both.target.names) == (Task.MULTILABEL, ("leak", "noise"))
    assert both.train.values is not None
    np.testing.assert_array_equal(both.train.values[:3], [[0, 0], [1, 0], [0, 1]])


def test_a_class_count_numbers_classes_that_are_not_here(tmp_path: Path) -> None:
    from dslnode.data.dataset import load_data_set

    (tmp_path / "a.csv").write_text("a,label\n" + "".join(f"{n / 7},{3 * (n % 2)}\n" for n in range(20)))
    assert load_data_set(f"csv:{tmp_path / 'a.csv'}").class_count == 2
    data = load_data_set(f"csv:{tmp_path / 'a.csv'}", class_count=5)
    assert (data.class_count, set(data.train.labels.tolist())) == (5, {0, 3})
    with pytest.raises(DataError, match="cannot name those that are not here; write all class names into a --schema"):
        load_data_set(f"csv:{tmp_path / 'a.csv'}", class_count=3)
