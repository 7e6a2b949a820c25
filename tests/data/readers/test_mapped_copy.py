"""Bytes in a mapped temporary file, and in memory where there is no room for one."""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dslnode.data.readers.mapped_copy import mapped_copy

CHUNKS = [bytes([number]) * 4096 for number in range(5)]


def check(values: np.ndarray) -> None:
    assert values.shape == (5, 2, 2048)
    assert values.dtype == np.uint8
    assert values.tobytes() == b"".join(CHUNKS)
    values[0] = 9
    assert (values[0] == 9).all()


def test_bytes_are_mapped_and_writable_in_this_process() -> None:
    values = mapped_copy(iter(CHUNKS), (5, 2, 2048))
    assert isinstance(values, np.memmap)
    check(values)


def test_without_a_temporary_directory_bytes_stay_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    values = mapped_copy(iter(CHUNKS), (5, 2, 2048))
    assert not isinstance(values, np.memmap)
    check(values)


def test_a_full_temporary_directory_costs_no_byte() -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))
    try:
        values = mapped_copy(iter(CHUNKS), (5, 2, 2048))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert not isinstance(values, np.memmap)
    check(values)


def test_errors_of_the_source_are_not_taken_for_a_full_disk() -> None:
    def broken() -> Iterator[bytes]:
        yield CHUNKS[0]
        raise OSError("broken gzip file")

    with pytest.raises(OSError, match="broken gzip file"):
        mapped_copy(broken(), (5, 2, 2048))
