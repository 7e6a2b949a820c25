"""Describing a file and checking one by what was described."""

from __future__ import annotations

from pathlib import Path

import pytest

from dslnode.data.describe import check_data, describe_data
from dslnode.data.schema import Schema
from dslnode.data.schema_file import read_schema, schema_text
from dslnode.errors import DataError
from tests.data.tables.files import rows

TEXT = "speed,t,colour,state\n" + "".join(
    f"{n * n},2024-01-{n + 1:02},{'rgb'[n % 3]},{'ok' if n % 2 else 'worn'}\n" for n in range(30)
)


def described(path: Path) -> Schema:
    schema, _ = describe_data(f"csv:{path}")
    return read_schema(schema_text(schema.model_copy(update={"scaling": "run"})))


def test_a_file_fits_its_own_description(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(TEXT)
    assert list(check_data(f"csv:{path}", described(path))) == []


def test_what_does_not_fit_is_said_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(TEXT)
    schema = described(path)
    path.write_text("speed,colour,state,t\n5,g,ok,2024-01-01\nfast,pink,ok,yesterday\n-7,r,melted,\n,,,\n5,g")
    assert [line.removeprefix(f"{path}, ") for line in check_data(f"csv:{path}", schema)] == [
        "line 3, column 'speed': 'fast' is not a number",
        "line 3, column 't': 'yesterday' is no point in time of the format 'iso'",
        "line 3, column 'colour': 'pink' is not one of the categories b, g, r",
        "line 4, column 'speed': -7 is outside of 0 to 841, the range seen",
        "line 4, column 'state': 'melted' is not one of the classes ok, worn",
        "line 6: left out, since it is not finished",
    ]
    path.write_text("speed,state\n" + rows(5, "{a},{c}"))
    assert "column 't': is not in the file, whose columns are speed, state" in list(check_data(f"csv:{path}", schema))


def test_what_needs_no_schema_says_so() -> None:
    with pytest.raises(DataError, match="needs no schema"):
        describe_data("digits")
