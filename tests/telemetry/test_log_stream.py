"""The end of a log never raises and never blocks: what is lost is counted, and said once writing works again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dslnode.telemetry.log_stream import LogStream


def test_lines_are_written_at_once(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        LogStream(file).write("größe\n")
        assert (tmp_path / "log").read_text() == "größe\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk that is full")
def test_a_full_disk_loses_lines_and_raises_nothing() -> None:
    with open("/dev/full", "w") as full:
        stream = LogStream(full)
        for _ in range(3):
            stream.write("line\n")
        stream.flush()
        assert stream.lost == 3


def test_a_reader_that_left_loses_lines_and_raises_nothing() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as end:
        stream = LogStream(end)
        os.close(reader)
        stream.write("nobody reads this\n")
        assert stream.lost == 1
        assert not stream.isatty()


def test_a_reader_that_stands_still_blocks_nobody_and_is_told_later_what_it_missed() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as end:
        stream = LogStream(end)
        while not stream.lost:
            stream.write("x" * 4095 + "\n")
        stream.write("lost, too\n")
        assert stream.lost == 2
        while b"\n" in os.read(reader, 1 << 16):
            if stream.write("here again\n") and not stream.lost:
                break
        assert b"(2 lines of the log could not be written)\nhere again\n" in os.read(reader, 1 << 16)
    os.close(reader)


def test_a_closed_stream_is_as_good_as_a_full_disk() -> None:
    file = open(os.devnull, "w")  # noqa: SIM115
    stream = LogStream(file)
    file.close()
    stream.write("line\n")
    assert stream.lost == 1
    assert not stream.isatty()


def test_what_is_no_text_of_any_encoding_is_written_all_the_same(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        LogStream(file).write("name=\udcff\n")
    assert (tmp_path / "log").read_text() == "name=\\udcff\n"
