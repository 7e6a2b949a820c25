"""``dslnode simulate`` as a user runs it: the table, the report, Ctrl-C, and what is wrong said in one line."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dslnode.cli.daemon_process import clean_environment
from dslnode.errors import ExitCode
from dslnode.simulation.report.tables import read_rounds
from tests.cli.test_main import SECONDS, complaint, run

SMALL = ("simulate", "--nodes", "4", "--topology", "ring", "--rounds", "2", "--local-steps", "3", "--model", "mlp")


def test_it_prints_a_table_and_leaves_a_report(tmp_path: Path) -> None:
    report = tmp_path / "plan"
    done = run(*SMALL, "--link", "1Mbit/s,5ms,1%", "--keep-ratio", "0.2..0.4", "--report", str(report))
    assert done.returncode == ExitCode.DONE, done.stderr
    assert "mean score" in done.stdout
    assert str(report / "page.html") in done.stdout
    names = {
        "rounds.csv",
        "nodes.csv",
        "edges.txt",
        "partition.jsonl",
        "page.html",
        "settings.toml",
        "command.txt",
        "tickets.sh",
    }
    assert names <= {file.name for file in report.iterdir()}
    assert (report / "command.txt").read_text().startswith("dslnode simulate --nodes 4")


def test_a_grid_is_one_table_over_seeds_and_leaves_out_what_is_done(tmp_path: Path) -> None:
    report = tmp_path / "grid"
    options = (*SMALL, "--grid", "local-steps=2,4", "--report", str(report))
    first = run(*options, "--grid", "seed=1")
    assert first.returncode == ExitCode.DONE, first.stderr
    assert "local_steps  seeds" in first.stdout
    assert (report / "local_steps=4,seed=1" / "page.html").exists()
    again = run(*options, "--grid", "seed=1,2", "--resume")
    assert again.returncode == ExitCode.DONE, again.stderr
    assert "local_steps 2, seed 1" not in again.stdout, "is done already"
    assert "local_steps 2, seed 2" in again.stdout
    with (report / "grid.csv").open(encoding="utf-8") as rows:
        assert sum(1 for _ in rows) == 1 + 4
    assert "local_steps 4</text>" in (report / "grid.html").read_text(encoding="utf-8")


def test_the_runs_of_another_grid_are_not_taken_for_this_one(tmp_path: Path) -> None:
    (tmp_path / "grid.csv").write_text("seed,rounds\n1,2\n")
    said = complaint(ExitCode.STATE, *SMALL, "--grid", "local-steps=2", "--resume", "--report", str(tmp_path))
    assert "is not of this grid" in said


def test_after_ctrl_c_there_is_a_report_and_it_can_go_on(tmp_path: Path) -> None:
    report = tmp_path / "plan"
    options = [*SMALL, "--checkpoint-every", "1", "--report", str(report)]
    command = [sys.executable, "-m", "dslnode", *options, "--rounds", "100000"]
    # Tests that a shell runs in the background ignore this signal, and what they start would inherit that
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    running = subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    try:
        wait_until((report / "state" / "complete.json").exists)
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=SECONDS)
    finally:
        running.kill()
    assert running.returncode == ExitCode.INTERRUPTED
    assert "interrupted; the report has what was done" in said
    with (report / "rounds.csv").open(encoding="utf-8") as rows:
        done = sum(1 for _ in rows) - 1
    assert done >= 4
    resumed = run(*options, "--resume", "--rounds", str(done))
    assert resumed.returncode == ExitCode.DONE, resumed.stderr
    with (report / "rounds.csv").open(encoding="utf-8") as rows:
        assert sum(1 for _ in rows) - 1 == 4 * done


@pytest.mark.parametrize(
    "options", [("--method-rate", "0.1"), ("--checkpoint-every", "0"), ("--checkpoint-every", "1"), ("--resume",)]
)
def test_no_command_removes_what_others_keep_in_a_directory_of_that_name(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "mine").write_text("mine")
    run(*SMALL, *options, "--report", str(tmp_path))
    assert (tmp_path / "state" / "mine").read_text() == "mine"


def test_a_file_of_edges_says_how_many_nodes_there_are_and_nodes_without_link_are_said(tmp_path: Path) -> None:
    edges = tmp_path / "edges.txt"
    edges.write_text("# 4 nodes\n0 1\n1 2\n")
    short = ("simulate", "--rounds", "1", "--local-steps", "2", "--model", "mlp", "--topology", str(edges))
    done = run(*short, "--report", str(tmp_path / "plan"))
    assert done.returncode == ExitCode.DONE, done.stderr
    assert "1 of 4 nodes have no link" in done.stdout
    assert (tmp_path / "plan" / "edges.txt").read_text() == edges.read_text()


def test_a_reference_runs_as_many_rounds_and_has_a_row(tmp_path: Path) -> None:
    report = tmp_path / "plan"
    done = run(*SMALL, "--split", "classes:4", "--reference", "dpsgd", "--report", str(report))
    assert done.returncode == ExitCode.DONE, done.stderr
    assert "for reference: dpsgd" in done.stdout
    assert "dpsgd 2" in done.stdout
    assert len(read_rounds(report / "reference.csv")) == 4 * 2
    assert "dpsgd, mean</text>" in (report / "page.html").read_text(encoding="utf-8")


def wait_until(reached: Callable[[], bool]) -> None:
    """Wait for a state of the disk; fail after ``SECONDS``."""
    until = time.monotonic() + SECONDS
    while not reached():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--topology", "star", "there is no such file"),
        ("--link", "fast", "50kbit/s,200ms,2%"),
        ("--hostile", "0.2:rude", "0.2:inverted"),
        ("--keep-ratio", "2", "0.1..0.7"),
        ("--speed", "9", "--speed 9.0: takes a number from 0 to 3"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, option: str, value: str, said: str) -> None:
    assert said in complaint(ExitCode.SETTINGS, *SMALL, option, value, "--report", str(tmp_path / "plan"))
    assert not (tmp_path / "plan").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--shards", "2"), "are of --engine ray"),
        (("--engine", "ray", "--method", "dpsgd"), "runs in this process only"),
    ],
)
def test_what_an_engine_cannot_do_is_said(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    assert said in complaint(ExitCode.SETTINGS, *SMALL, *options, "--report", str(tmp_path))
