"""Finished runs are kept on disk, and an interruption loses the run that was cut off, nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.finished_runs import FinishedRuns
from benchmarks.report import Row

RUN = {"engine": "local", "nodes": 100, "keep_ratios": (0.1, 0.7)}


def counted(calls: list[int]) -> Row:
    """Note a call; return figures."""
    calls.append(1)
    return {"seconds": len(calls)}


def test_a_finished_run_is_known_again_by_its_values_in_any_order(tmp_path: Path) -> None:
    file, calls = tmp_path / "new" / "runs.jsonl", list[int]()
    for run in (RUN, dict(reversed(RUN.items()))):
        assert FinishedRuns(file).of(run, lambda: counted(calls)) == {"seconds": 1}
    assert FinishedRuns(file).of({**RUN, "nodes": 200}, lambda: counted(calls)) == {"seconds": 2}


def test_a_line_that_was_cut_off_is_run_again_and_harms_no_other(tmp_path: Path) -> None:
    file, calls = tmp_path / "runs.jsonl", list[int]()
    FinishedRuns(file).add(RUN, {"seconds": 7})
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole + whole.replace("100", "200")[:-9], encoding="utf-8")
    assert FinishedRuns(file).of({**RUN, "nodes": 200}, lambda: counted(calls)) == {"seconds": 1}
    again = FinishedRuns(file)
    assert again.find(RUN) == {"seconds": 7}
    assert again.find({**RUN, "nodes": 200}) == {"seconds": 1}


def test_other_lines_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    file.write_text("\n".join(["[]", "7", '{"run": {}}', json.dumps({"run": RUN, "measured": {"seconds": 1}})]))
    assert FinishedRuns(file).find(RUN) == {"seconds": 1}


def test_without_a_file_runs_are_remembered_by_the_process() -> None:
    finished, calls = FinishedRuns(None), list[int]()
    assert finished.of(RUN, lambda: counted(calls)) == finished.of(RUN, lambda: counted(calls)) == {"seconds": 1}
    assert FinishedRuns(None).find(RUN) is None
