"""Saved states and best models, listed, and a node that goes back to one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dslnode.cli.rounds import roll_back, show_rounds
from dslnode.errors import StateError
from dslnode.runtime.checkpoint import Snapshot, StateDirectory
from dslnode.runtime.snapshot_metadata import SnapshotMetadata


def saved(directory: Path) -> StateDirectory:
    state = StateDirectory(directory)
    for number, score in ((7, 0.9), (12, 0.75)):
        metadata = SnapshotMetadata(round=number, run_id="r", fingerprint="00", score=score, score_name="accuracy")
        snapshot = Snapshot(metadata, {"scores": np.zeros(2)})
        if number == 7:
            state.save_best(snapshot)
        else:
            state.save(snapshot)
    return state


def test_each_is_listed_with_round_and_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(tmp_path)
    show_rounds(tmp_path, as_json=False)
    lines = [line.split()[:5] for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["state", "12", "accuracy", "75.0", "%"]
    assert lines[2] == ["best", "7", "accuracy", "90.0", "%"]
    show_rounds(tmp_path, as_json=True)
    listed = json.loads(capsys.readouterr().out)
    assert [(each["name"], each["round"], each["score"]) for each in listed] == [("state", 12, 0.75), ("best", 7, 0.9)]


def test_a_node_goes_back_to_its_best_model(tmp_path: Path) -> None:
    state = saved(tmp_path)
    assert "from best, round 7" in roll_back(tmp_path, "best")
    again = state.load()
    assert again is not None
    assert again.metadata.round == 7


def test_a_directory_without_state_is_refused_and_not_made(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "none"):
        with pytest.raises(StateError, match="holds no saved state"):
            roll_back(directory, "best")
        with pytest.raises(StateError, match="holds no saved state"):
            show_rounds(directory, as_json=False)
    assert not (tmp_path / "none").exists()


def test_a_running_node_keeps_its_directory(tmp_path: Path) -> None:
    with saved(tmp_path).owned(), pytest.raises(StateError):
        roll_back(tmp_path, "best")
