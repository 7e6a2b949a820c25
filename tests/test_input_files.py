"""Files that a user names: pipes and devices are refused at once by all that read a file whole, and large ones, too."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dslnode.config.loader import load
from dslnode.data.dataset import load_data_set
from dslnode.data.schema_file import read_schema
from dslnode.errors import DslnodeError
from dslnode.inference.model_file import read_model
from dslnode.input_files import check_regular, read_input
from dslnode.learning.pretrained import read_pretrained
from dslnode.security.secret_files import read_private
from dslnode.security.ticket import read_ticket
from dslnode.simulation.edge_file import read_edges
from dslnode.simulation.likeness_file import read_likeness
from dslnode.simulation.partition_file import read_partition

READERS: dict[str, Callable[[Path], object]] = {
    "--config": lambda file: load({}, {}, file),
    "--frozen": read_pretrained,
    "--from": read_model,
    "--partition": lambda file: read_partition(file, load_data_set("digits")),
    "--schema": lambda file: read_schema(str(file)),
    "--ticket": read_ticket,
    "--topology": read_edges,
    "a secret": read_private,
    "likeness.json": lambda file: read_likeness(file, "10.0.0.1:7711"),
}


@pytest.mark.parametrize("name", list(READERS))
def test_a_pipe_that_nobody_writes_and_a_device_without_end_are_refused(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    for file, what in (("pipe", "a pipe"), ("zeros", "a device")):
        with pytest.raises(DslnodeError, match=f"{file}: cannot be read .*it is {what}, no regular file"):
            READERS[name](tmp_path / file)


def test_a_link_to_a_regular_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_input(tmp_path / "link", 7) == b"content"
    assert check_regular(tmp_path / "link") == 7


def test_a_larger_file_is_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(1 << 40)  # sparse: takes no room on the disk, but would not fit into memory
    with pytest.raises(OSError, match="it is larger than 2 MiB"):
        read_input(tmp_path / "huge", 2 << 20)


def test_a_directory_and_no_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="it is a directory"):
        read_input(tmp_path, 7)
    with pytest.raises(FileNotFoundError):
        read_input(tmp_path / "absent", 7)
