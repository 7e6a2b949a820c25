"""JSON lines, SQLite and Parquet give what the same table as text gives; what is damaged is refused."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.data.dataset import load_data_set
from dslnode.errors import DataError
from tests.damaged_files import Damage, damage, damages, fuzz, load_or_refuse
from tests.data.tables.files import load_text

RECORDS: list[dict[str, Any]] = [
    {"speed": n * n / 4, "hot": n % 3 == 0, "colour": "rgb"[n % 3], "state": ("ok", "worn")[n % 2]} for n in range(40)
]


def write(directory: Path, kind: str, records: list[dict[str, Any]] = RECORDS) -> str:
    """Write records as a file of a kind; return its spec."""
    path = directory / f"a.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    elif kind == "parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist(records), path, row_group_size=7)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE readings (speed REAL, hot TEXT, colour TEXT, state TEXT)")
            rows = [
                (r["speed"], {None: None}.get(r["hot"], str(r["hot"]).lower()), r["colour"], r["state"])
                for r in records
            ]
            connection.executemany("INSERT INTO readings VALUES (?, ?, ?, ?)", rows)
            connection.commit()
    return f"{kind}:{path}"


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "sqlite"])
@pytest.mark.parametrize("gap", [False, True])
def test_every_source_gives_the_same(tmp_path: Path, kind: str, gap: bool) -> None:
    records = [{**record, "speed": None} if gap and n == 4 else record for n, record in enumerate(RECORDS)]
    lines = [",".join("" if v is None else str(v).lower() for v in record.values()) for record in records]
    text = load_text(tmp_path, "speed,hot,colour,state\n" + "\n".join(lines) + "\n")
    data = load_data_set(write(tmp_path, kind, records))
    np.testing.assert_allclose(data.train.images, text.train.images)
    np.testing.assert_array_equal(data.train.labels, text.train.labels)
    assert data.target == text.target


def test_a_query_and_a_table_by_name(tmp_path: Path) -> None:
    spec = write(tmp_path, "sqlite")
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as connection:
        connection.execute("CREATE TABLE other (a)")
        connection.commit()
    with pytest.raises(DataError, match=r"say which table is meant with \?table=NAME; there are: other, readings"):
        load_data_set(spec)
    assert len(load_data_set(f"{spec}?table=readings").train) == 40
    assert len(load_data_set(f"{spec}?query=SELECT speed, state FROM readings WHERE speed > 10").train) == 33


@pytest.mark.parametrize(
    "query",
    ["ATTACH 'b.sqlite' AS b", "DROP TABLE readings", "PRAGMA writable_schema=1", "SELECT nothing FROM readings"],
)
def test_a_query_only_reads(tmp_path: Path, query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = write(tmp_path, "sqlite")
    with pytest.raises(DataError, match="cannot be read"):
        load_data_set(f"{spec}?query={query}")
    assert not (tmp_path / "b.sqlite").exists()
    assert len(load_data_set(spec).train) == 40


def test_json_lines_in_detail(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        "".join(json.dumps({"a": {"x": n, "y": [n * n, 1 / (n + 1)]}, "label": n % 2}) + "\n" for n in range(20))
    )
    data = load_data_set(f"jsonl:{path}")
    assert data.schema is not None
    assert data.schema.input_names == ("a.y.0", "a.y.1")
    with path.open("a") as stream:
        stream.write('{"a": {"x"')
    cut = load_data_set(f"jsonl:{path}")
    assert len(cut.train) == 20
    assert "line 21: left out, since it is not finished" in "; ".join(cut.notes)
    with path.open("a") as stream:
        stream.write("\n")
    with pytest.raises(DataError, match=r"a\.jsonl, line 21: .*each line must be a JSON object"):
        load_data_set(f"jsonl:{path}")


def test_parquet_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pa.table({"a": [[1, 2], [3]], "label": [0, 1]}), path)
    with pytest.raises(DataError, match="the column 'a' holds lists or objects"):
        load_data_set(f"parquet:{path}")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(DataError, match=r"needs the package pyarrow; .*pip install 'dslnode\[tables\]'"):
        load_data_set(f"parquet:{path}")


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_of_objects_gives_what_the_lines_give(tmp_path: Path, indent: int | None) -> None:
    records = [{"a": {"x": n * n % 7, "y": "[,]" if n % 3 else "}"}, "label": n % 2} for n in range(20)]
    lines, array = tmp_path / "a.jsonl", tmp_path / "a.json"
    lines.write_text("".join(json.dumps(record) + "\n" for record in records))
    array.write_text("\n " + json.dumps(records, indent=indent) + "\n")
    one, other = (load_data_set(f"jsonl:{path}").train for path in (lines, array))
    assert np.array_equal(one.stored, other.stored)
    assert np.array_equal(one.labels, other.labels)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[{"a": 1, "label": 0},\n 7]', r"line 2: a int stands where an object is expected"),
        ('[{"a": 1, "label": 0}\n {"a": 2}]', r"line 1: .* neither a comma nor its end"),
        ('[{"a": 1, "label": 0},\n\n {"a": 2, "label"', r"line 3: .*the array must hold JSON objects"),
        ("[]", "no examples"),
        ("[" * 100_000, "line 1: .*the array must hold JSON objects"),
    ],
)
def test_a_broken_array_is_refused_at_its_line(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataError, match=expected):
        load_data_set(f"jsonl:{path}")


@fuzz
@given(damages, st.sampled_from(["jsonl", "parquet", "sqlite"]))
def test_fuzzed_sources(tmp_path: Path, how: Damage, kind: str) -> None:
    spec = write(tmp_path, kind) if not (tmp_path / f"whole-{kind}").exists() else f"{kind}:{tmp_path / f'a.{kind}'}"
    whole = tmp_path / f"whole-{kind}"
    if not whole.exists():
        whole.write_bytes((tmp_path / f"a.{kind}").read_bytes())
    (tmp_path / f"a.{kind}").write_bytes(damage(whole.read_bytes(), how))
    load_or_refuse(spec)
