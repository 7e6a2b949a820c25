"""Schema files: written and read back, and errors that name the line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.data.schema import Column, ColumnKind, Schema, Series
from dslnode.data.schema_file import MAX_FILE_BYTES, read_schema, schema_text
from dslnode.errors import DataError

texts = st.text(min_size=1, max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False)
columns = st.builds(
    Column,
    name=texts,
    kind=st.sampled_from(ColumnKind),
    unit=st.text(max_size=5),
    low=numbers,
    high=numbers,
    empty=st.integers(0, 9),
    centre=numbers,
    scale=st.floats(min_value=1e-300, max_value=1e300),
    categories=st.lists(texts, max_size=3).map(tuple),
    missing=st.sampled_from(["indicator", "median", "drop"]),
    cycles=st.lists(st.sampled_from(["day", "week", "order"]), max_size=2).map(tuple),
)


@given(
    st.lists(columns, max_size=4, unique_by=lambda column: column.name), st.lists(texts, max_size=3, unique=True), texts
)
def test_what_is_written_is_read_back(parts: list[Column], classes: list[str], source: str) -> None:
    schema = Schema(classes=tuple(classes), series=Series(window=3), columns=tuple(parts))
    assert read_schema(schema_text(schema, source=source, notes=[source])) == schema


LINES = """\
# a schema
task = "classification"
target = ["state"]
classes = ["ok", "worn"]

[[columns]]
name = "speed"
kind = "number"

[[columns]]
name = "state"
kind = "label"
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "label"', 'kind = "labels"', r"line 12: columns\.2\.kind: Input should be 'number'"),
        ('kind = "number"', 'knd = "number"', r"line 6: columns\.1\.kind: is missing; add this line"),
        (
            'kind = "number"',
            'kind = "number"\nunits = "m"',
            r"line 9: columns\.1\.units: there is no such line .*: name, kind",
        ),
        ("task =", "tasks =", r"line 2: tasks: there is no such line in a schema; there are: task, target"),
        ('target = ["state"]', 'target = ["stat"]', "target = 'stat': there is no such column"),
        ('["ok", "worn"]', '["ok", "worn"', r"is not TOML: .*line 6"),
        (
            '[[columns]]\nname = "speed"',
            '[series]\nwindow = 0\n[[columns]]\nname = "speed"',
            r"line 7: series\.window: Input",
        ),
    ],
)
def test_errors_name_the_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = tmp_path / "s.toml"
    file.write_text(LINES.replace(old, new, 1))
    with pytest.raises(DataError, match=rf"s\.toml.*{message}"):
        read_schema(str(file))


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text("\ufeff" + LINES)
    assert read_schema(str(file)).classes == ("ok", "worn")


def test_files_that_are_no_schema(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent: cannot be read .*give the file of a schema to --schema"):
        read_schema(str(tmp_path / "absent"))
    file = tmp_path / "s.toml"
    file.write_bytes(b"\xff\xfet\x00")
    with pytest.raises(DataError, match="is saved as UTF-16; save it as UTF-8"):
        read_schema(str(file))
    with file.open("wb") as stream:
        stream.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(DataError, match="it is larger than 16 MiB"):
        read_schema(str(file))


@given(st.text("[]='\"\n#abc1, .", max_size=60))
def test_whatever_a_file_says_it_is_a_schema_or_an_error(text: str) -> None:
    try:
        read_schema("\n" + text)
    except DataError:
        return
