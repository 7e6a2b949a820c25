"""The network that a simulation is like, in its report: read back to the bit, and refused where it cannot be one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dslnode.errors import SettingsError, StateError
from dslnode.simulation.likeness import Likeness
from dslnode.simulation.likeness_file import LIKENESS_FILE, read_likeness, write_likeness
from dslnode.simulation.topology import ring

LIKE = Likeness(
    neighbours=ring(3),
    keep_ratios=(0.1, 1 / 3, 1.0),
    round_seconds=(10 / 3, 0.1 + 0.2, 3e-9),
    data_cap="5MB/day",
    address="10.0.0.1:7711",
)


def test_what_is_written_is_read_back_to_the_bit(tmp_path: Path) -> None:
    write_likeness(tmp_path, LIKE)
    assert read_likeness(tmp_path / LIKENESS_FILE, LIKE.address) == LIKE
    uncapped = replace(LIKE, data_cap="")
    write_likeness(tmp_path, uncapped)
    assert read_likeness(tmp_path / LIKENESS_FILE, LIKE.address) == uncapped


def test_the_likeness_of_another_network_is_refused(tmp_path: Path) -> None:
    write_likeness(tmp_path, LIKE)
    with pytest.raises(SettingsError, match=r"--like 10\.0\.0\.2:7711: .* has what 10\.0\.0\.1:7711 reported"):
        read_likeness(tmp_path / LIKENESS_FILE, "10.0.0.2:7711")


@pytest.mark.parametrize(
    "change",
    [
        {"neighbours": [[1], [0], [3]]},
        {"neighbours": [[1], [2], [1]]},
        {"neighbours": [[0], [], []]},
        {"neighbours": []},
        {"neighbours": "ring"},
        {"keep_ratios": [0.1]},
        {"keep_ratios": [0.1, 0.1, 2.0]},
        {"round_seconds": [1.0, 1.0, 0.0]},
        {"round_seconds": [1.0, 1.0, float("nan")]},
        {"data_cap": "much"},
    ],
)
def test_what_cannot_be_a_network_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    write_likeness(tmp_path, LIKE)
    file = tmp_path / LIKENESS_FILE
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(StateError, match="leave --resume out to ask the network again"):
        read_likeness(file, LIKE.address)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b"[" * 100_000])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LIKENESS_FILE).write_bytes(content)
    with pytest.raises(StateError, match="cannot be read"):
        read_likeness(tmp_path / LIKENESS_FILE, LIKE.address)


def test_a_report_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be written"):
        write_likeness(tmp_path / "none", LIKE)
