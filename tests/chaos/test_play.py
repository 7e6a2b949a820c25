"""What is read of a network's logs and memory after the play."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dslnode.cli.daemon_process import DaemonLog
from dslnode.runtime.checkpoint import Snapshot, StateDirectory
from dslnode.runtime.snapshot_metadata import SnapshotMetadata
from tests.chaos.boards import Board, Life
from tests.chaos.play import accuracy, complaints, damaged_files, growth, lost_rounds


class Process:
    """Stands for a process that has ended: its log, and what else it wrote."""

    def __init__(self, *log: dict[str, object]) -> None:
        self.log = DaemonLog()
        self.log.events = [{"level": "info", **line} for line in log]


def life(*log: dict[str, object]) -> Life:
    return Life(Process(*log))  # type: ignore[arg-type]


def board(*lives: Life) -> Board:
    found = Board.__new__(Board)
    found.lives = list(lives)
    return found


def finished(number: int) -> dict[str, object]:
    return {"event": "round", "round": number}


STARTED: dict[str, object] = {"event": "started"}


def resumed(number: int) -> dict[str, object]:
    return {"event": "resumed", "round": number}


@pytest.mark.parametrize(
    ("second", "lost"),
    [((resumed(2), STARTED), [0, 0]), ((resumed(1), STARTED), [0, 1]), ((STARTED,), [0, 2]), ((), [0])],
    ids=["all", "one checkpoint", "everything", "killed before it began"],
)
def test_a_restart_reports_the_round_that_it_resumed(second: tuple[dict[str, object], ...], lost: list[int]) -> None:
    assert lost_rounds(board(life(STARTED, finished(1), finished(2)), life(*second))) == lost


def test_growth_is_that_of_the_second_half_of_a_life_that_was_long_enough() -> None:
    one = life()
    one.memory = [(float(second), 1_000 * min(second, 50)) for second in range(100)]
    assert growth(one, 60.0) == 0, "what grew at first is what a process needs"
    one.memory = [(float(second), 1_000 * second) for second in range(100)]
    assert 30_000 < growth(one, 60.0) < 50_000
    assert growth(one, 200.0) == 0


def test_faults_that_a_bad_network_does_not_explain_are_reported() -> None:
    excused: dict[str, object] = {"event": "neighbour refused", "reason": "silent", "level": "warning"}
    damaged: dict[str, object] = {"event": "neighbour refused", "reason": "checksum", "level": "warning"}
    failed: dict[str, object] = {"event": "internal error", "level": "error"}
    noisy = life()
    noisy.process.log.add("Traceback")
    assert not complaints(board(life(excused, finished(1))))
    assert len(complaints(board(life(excused, damaged), life(failed), noisy))) == 3


def test_accuracy_is_that_of_the_last_rounds_of_all_lives() -> None:
    lines = [{**finished(number), "accuracy": 0.5 if number < 15 else 0.9} for number in range(25)]
    assert accuracy([board(life(*lines[:20]), life(*lines[20:]))]) == pytest.approx(90.0)
    assert accuracy([board(life(*lines[:20]))]) == pytest.approx(70.0)


def test_a_damaged_file_is_found_now_and_after_a_restart_has_set_it_aside(tmp_path: Path) -> None:
    one = board()
    one.state = tmp_path
    assert damaged_files(one) == []
    StateDirectory(tmp_path).save(
        Snapshot(SnapshotMetadata(round=1, run_id="r", fingerprint="ab"), {"scores": np.zeros(9, np.float32)})
    )
    assert damaged_files(one) == []
    (tmp_path / "state").write_bytes((tmp_path / "state").read_bytes()[:-1])
    assert "damaged" in damaged_files(one)[0]
    (tmp_path / "state").rename(tmp_path / "state.damaged")
    assert damaged_files(one) == [str(tmp_path / "state.damaged")]
