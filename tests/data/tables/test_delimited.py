"""Text tables as people have them: separators, decimal signs, headers, encodings, packing, and what is refused."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from dslnode.data.dataset import load_data_set
from dslnode.errors import DataError
from tests.damaged_files import damage, damages, fuzz, load_or_refuse
from tests.data.tables.files import load_text, rows

PLAIN = "speed,load,state\n" + rows(30)


def test_a_plain_table(tmp_path: Path) -> None:
    data = load_text(tmp_path, PLAIN)
    assert data.target.names == ("off", "ok", "worn")
    assert data.train.labels.tolist()[:3] == [1, 2, 0]
    assert (data.class_count, data.input_shape) == (3, (2,))
    assert data.schema is not None
    assert data.schema.input_names == ("speed", "load")
    assert "target state (the last column): classes off, ok, worn" in data.notes[0]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (PLAIN.replace(",", ";"), "separator semicolon"),
        (PLAIN.replace(",", "\t"), "separator tab"),
        (PLAIN.replace(",", "|"), "separator bar"),
        (PLAIN.replace(",", "   "), "separator space"),
        (PLAIN.replace(",", ";").replace(".", ","), "decimal comma"),
        (PLAIN.replace(",", " ;  "), "separator semicolon"),
        (PLAIN.replace("\n", "\r\n"), ""),
        ("# made by a logger\n#\n" + PLAIN.replace("\n", "\n# between\n"), ""),
        ("# " + PLAIN, ""),
        (PLAIN.replace("\n", ",\n"), ""),
        (PLAIN.replace("\n", "\n\n,,\n"), ""),
        ('"' + PLAIN.replace(",", '","').replace("\n", '"\n"').removesuffix('"'), ""),
    ],
)
def test_the_way_of_writing_makes_no_difference(tmp_path: Path, text: str, note: str) -> None:
    plain, other = load_text(tmp_path, PLAIN), load_text(tmp_path, text)
    np.testing.assert_array_equal(plain.train.images, other.train.images)
    np.testing.assert_array_equal(plain.train.labels, other.train.labels)
    assert other.target.names == plain.target.names
    assert note in "; ".join(other.notes)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_encodings_are_found_out(tmp_path: Path, encoding: str) -> None:
    text = PLAIN.replace("worn", "gestört").replace("speed", "Öldruck")
    data = load_text(tmp_path, text.encode(encoding))
    assert data.target.names == ("gestört", "off", "ok")
    assert data.schema is not None
    assert data.schema.input_names[0] == "Öldruck"
    assert ("encoding" in "; ".join(data.notes)) == (encoding not in {"utf-8", "utf-8-sig"})


def test_an_encoding_can_be_given(tmp_path: Path) -> None:
    data = load_text(tmp_path, PLAIN.replace("worn", "łódź").encode("cp1250"), "encoding=cp1250")
    assert "łódź" in data.target.names
    with pytest.raises(DataError, match="encoding=kurz is unknown"):
        load_text(tmp_path, PLAIN, "encoding=kurz")


def zipped(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("__MACOSX/._a.csv", b"\x00\x05")
        archive.writestr("data/a.csv", content)
    return packed.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, zipped])
def test_packed_files_are_read(tmp_path: Path, pack: object) -> None:
    data = load_text(tmp_path, pack(PLAIN.encode()))  # type: ignore[operator]
    np.testing.assert_array_equal(data.train.images, load_text(tmp_path, PLAIN).train.images)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (rows(30), ("column_1", "column_2")),
        ("0,1,2\n" + rows(30), ("0", "1")),
        ('"",speed,c\n' + "".join(f"{n * n % 7}.5,{n * n},{n % 2}\n" for n in range(20)), ("unnamed_1", "speed")),
        ("1990,1991,1992,c\n" + rows(30, "{a},{b},{a},{c}"), ("1990", "1991", "1992")),
        ("'a' 'b' 'c'\n" + rows(30, "{a} {b} {c}"), ("a", "b")),
        ('"","u","v"\n' + "".join(f"{n},{'pq'[n % 2]},{'rs'[n % 3 // 2]}\n" for n in range(30)), ("u=p", "u=q")),
    ],
)
def test_headers_are_found_out(tmp_path: Path, text: str, names: tuple[str, ...]) -> None:
    data = load_text(tmp_path, text)
    assert data.schema is not None
    assert (data.schema.input_names, len(data.train)) == (
        names,
        text.count("\n") - (0 if names[0] == "column_1" else 1),
    )


def test_a_first_line_that_counts_rows_and_columns_names_the_classes(tmp_path: Path) -> None:
    data = load_text(tmp_path, "30,2,good,bad\n" + "".join(f"{n / 7},{n * n % 13},{n % 2}\n" for n in range(30)))
    assert data.target.names == ("good", "bad")
    assert data.train.labels.tolist()[:2] == [0, 1]


def test_a_header_can_be_said_to_be_there_or_not(tmp_path: Path) -> None:
    text = "5,6,ok\n" + rows(30)
    assert len(load_text(tmp_path, text).train) == 31
    assert len(load_text(tmp_path, text, "header=yes").train) == 30


@pytest.mark.parametrize("rest", ["5", "5.5,7", '5.5,7,"wo', "5.5,7,wo", "5.5,x,ok"])
def test_a_last_line_that_is_still_being_written_is_left_out_and_said(tmp_path: Path, rest: str) -> None:
    data = load_text(tmp_path, PLAIN + rest)
    assert len(data.train) == 30
    assert "line 32: left out, since it is not finished" in "; ".join(data.notes)


def test_a_last_line_without_end_is_a_row_if_it_fits(tmp_path: Path) -> None:
    data = load_text(tmp_path, PLAIN.removesuffix("\n"))
    assert len(data.train) == 30
    assert "line 31: has no line end, and is taken for a whole row" in "; ".join(data.notes)
    assert "line end" not in "; ".join(load_text(tmp_path, PLAIN).notes)


def test_files_of_a_pattern_are_one_table(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"day-{number}.csv").write_text(PLAIN)
    data = load_data_set(f"csv:{tmp_path}/day-?.csv?target=load")
    assert len(data.train) == 90
    assert "3 files" in data.notes
    (tmp_path / "day-3.csv").write_text(PLAIN.replace("speed", "rpm"))
    with pytest.raises(DataError, match=r"day-3\.csv: has 'rpm' where .*day-0\.csv has 'speed'"):
        load_data_set(f"csv:{tmp_path}/day-*.csv")
    with pytest.raises(DataError, match="no file matches"):
        load_data_set(f"csv:{tmp_path}/night-*.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no examples; it holds no rows"),
        ("label,a\n", "no examples; below its header"),
        (PLAIN + "1,2\n3,4,ok\n", "line 32: has 2 cells where the header has 3"),
        ("a,b,c,d,label\n" + rows(20), "line 1: the header has 5 cells, the rows have 3; give each column one name"),
        ("a,b\n" + rows(20), "line 1: the header has 2 cells, the rows have 3"),
        ("PAR1xxxx", "is a Parquet file, not text; read it with --data parquet:"),
        ("SQLite format 3\x00", "is a SQLite file"),
        ("a\x00b\x01\x00\x02cde\x00", "holds zero bytes, so it is no text"),
        (PLAIN + '"5,6,ok\n' + "x" * 140_000, "a quotation mark may lack its end"),
        (b"\x1f\x8bnothing", "cannot be unpacked"),
        (gzip.compress(PLAIN.encode())[:-9], "cannot be unpacked"),
        (zstandard.compress(PLAIN.encode())[:-9] + b"123456789", "cannot be unpacked"),
        ("1\n2\n3\n", "no column is left to learn from"),
    ],
)
def test_what_is_refused_names_the_place(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=rf"a\.csv.*{message}"):
        load_text(tmp_path, text)


def test_without_zstandard_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    with pytest.raises(DataError, match=r"needs the package zstandard; .*pip install 'dslnode\[tables\]'"):
        load_text(tmp_path, zstandard.compress(PLAIN.encode()))


def test_thousands_of_columns(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    values = generator.normal(size=(12, 3000)).round(3).astype(str)
    lines = [",".join([*row, "ab"[i % 2]]) for i, row in enumerate(values)]
    data = load_text(tmp_path, ",".join([*(f"s{i}" for i in range(3000)), "label"]) + "\n" + "\n".join(lines) + "\n")
    assert data.input_shape == (3000,)


@fuzz
@given(st.one_of(st.binary(max_size=200), st.text('01289.,-e\n\r" ;xnaif_#', max_size=80).map(str.encode)))
def test_fuzzed_csv(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    load_or_refuse(f"csv:{tmp_path / 'a.csv'}")


@fuzz
@given(damages, st.sampled_from([bytes, gzip.compress, zstandard.compress, zipped]))
def test_fuzzed_packed_csv(tmp_path: Path, how: tuple[str, float, bytes], pack: object) -> None:
    (tmp_path / "a.csv").write_bytes(damage(pack(PLAIN.encode()), how))  # type: ignore[operator]
    load_or_refuse(f"csv:{tmp_path / 'a.csv'}")


def test_spaces_may_separate_all_columns_but_the_last(tmp_path: Path) -> None:
    text = rows(30, '{a}   {b}.   {b}e1\t"{c} pump"')
    data = load_text(tmp_path, text)
    assert (data.input_shape, data.target.names) == ((3,), ("off pump", "ok pump", "worn pump"))


@pytest.mark.parametrize(("header", "target"), [("x,y,z", "z"), ("y,x,w", "y")])
def test_a_y_between_x_and_z_is_no_target(tmp_path: Path, header: str, target: str) -> None:
    data = load_text(tmp_path, f"{header}\n" + rows(30))
    assert data.schema is not None
    assert data.schema.target == (target,)


def test_two_columns_of_one_name_are_refused_with_the_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.csv: the columns 1 and 2 are both called 'a'; give each a name"):
        load_text(tmp_path, "a,'a',c\n" + rows(30))
