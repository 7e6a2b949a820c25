"""Partitions in files: the same parts come back, and files of other data are refused."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import numpy as np
import pytest

from dslnode.data.dataset import DataSet, load_data_set
from dslnode.data.partition import PartitionSpec, node_part, parse_split, split_held_out
from dslnode.errors import SettingsError
from dslnode.simulation.partition_file import PartPositions, positions_of, read_partition, take_part, write_partition

SPECS = [PartitionSpec(share=(number, 3), split=parse_split("dirichlet:0.5"), seed=4) for number in (1, 2, 3)]


@pytest.fixture(scope="module", params=["held out by lot", "a test part of its own"])
def data(request: pytest.FixtureRequest) -> DataSet:
    digits = load_data_set("digits")
    return digits if request.param == "held out by lot" else split_held_out(digits, 0.3, 1)


def parts_of(data: DataSet) -> list[PartPositions]:
    return [positions_of(node_part(data, 0.2, spec, positions_only=True)) for spec in SPECS]


def test_what_was_written_makes_the_same_parts(data: DataSet, tmp_path: Path) -> None:
    file = tmp_path / "partition.jsonl"
    write_partition(file, parts_of(data))
    for spec, read in zip(SPECS, read_partition(file, data), strict=True):
        expected, found = node_part(data, 0.2, spec), take_part(data, read)
        assert np.array_equal(found.train.stored, expected.train.stored)
        assert np.array_equal(found.train.labels, expected.train.labels)
        assert found.held_out is not None
        assert expected.held_out is not None
        assert np.array_equal(found.held_out.stored, expected.held_out.stored)


def test_a_part_may_have_nothing_held_out(data: DataSet, tmp_path: Path) -> None:
    file = tmp_path / "partition.jsonl"
    write_partition(file, [PartPositions(np.arange(3, dtype=np.int32), np.empty(0, np.int32))])
    (part,) = read_partition(file, data)
    assert take_part(data, part).held_out is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "has 0 parts"),
        ("nonsense", "line 1: is no JSON object"),
        ("[" * 100_000, "line 1: is no JSON object"),
        ("[1, 2]", "line 1: is not of the form"),
        ('{"train": [1]}', "line 1: is not of the form"),
        ('{"train": [], "held_out": []}', "nothing to train on"),
        ('{"train": [1, 1], "held_out": []}', "no list of different positions"),
        ('{"train": [true], "held_out": []}', "no list of different positions"),
        ('{"train": [-1], "held_out": []}', "no list of different positions"),
        ('{"train": [1797], "held_out": []}', "from 0 to 1796; is it of other data"),
        ('{"train": 7, "held_out": []}', "no list of different positions"),
        ('{"train": [1, 2], "held_out": [2]}', "trains on examples that it is measured on"),
        ('{"train": [1], "train": [2], "held_out": []}', "line 1: is no JSON object .it has a key twice"),
        ('\n{"train": [1], "held_out": []}', "line 1: is no JSON object"),
        (
            '{"train": [1, 5], "held_out": [2]}\n{"train": [3], "held_out": [4]}\n{"train": [6, 2], "held_out": [7]}',
            "line 3: trains on example 2, which line 1 holds out",
        ),
    ],
)
def test_other_files_are_refused(line: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "partition.jsonl"
    file.write_text(line and line + "\n")
    with pytest.raises(SettingsError, match=message):
        read_partition(file, load_data_set("digits"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nothing\.jsonl: cannot be read"):
        read_partition(tmp_path / "nothing.jsonl", load_data_set("digits"))


def test_lines_are_plain_json(data: DataSet, tmp_path: Path) -> None:
    file = tmp_path / "partition.jsonl"
    write_partition(file, parts_of(data))
    assert [set(json.loads(line)) for line in file.read_text().splitlines()] == [{"train", "held_out"}] * 3


def test_a_byte_order_mark_and_blank_lines_at_the_end_are_fine(data: DataSet, tmp_path: Path) -> None:
    file = tmp_path / "partition.jsonl"
    write_partition(file, parts_of(data))
    file.write_bytes(codecs.BOM_UTF8 + file.read_bytes().replace(b"\n", b"\r\n") + b"\r\n \n")
    assert len(read_partition(file, data)) == 3


def test_where_the_test_part_is_apart_equal_positions_are_of_other_examples(tmp_path: Path) -> None:
    file = tmp_path / "partition.jsonl"
    file.write_text('{"train": [1], "held_out": [2]}\n{"train": [2], "held_out": [1]}\n')
    digits = load_data_set("digits")
    assert len(read_partition(file, split_held_out(digits, 0.3, 1))) == 2
    with pytest.raises(SettingsError, match="holds out"):
        read_partition(file, digits)
