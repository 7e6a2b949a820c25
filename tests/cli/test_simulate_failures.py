"""What a simulation has done before it ends too early is in its report; what cannot be written is found before."""

from __future__ import annotations

import csv
import signal
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dslnode.cli.endings import until_stopped
from dslnode.cli.simulate import Request, run_simulation, simulate
from dslnode.config.loader import load
from dslnode.errors import DslnodeError, ExitCode, SettingsError, StateError, UnreachableError
from dslnode.simulation.checkpoints import Checkpoints
from dslnode.simulation.simulation import Simulation, SimulationOptions


def request(directory: Path, **given: Any) -> Request:
    """Return a request of two nodes and four rounds."""
    loaded = load({"rounds": "4", "local_steps": "1", "model": "mlp", "seed": "1"}, {}, None)
    return Request(loaded=loaded, options=SimulationOptions(nodes=2, topology="ring"), directory=directory, **given)


def rounds_in(report: Path) -> int:
    with (report / "rounds.csv").open(encoding="utf-8") as source:
        return sum(1 for _ in csv.DictReader(source))


def quiet() -> Console:
    return Console(file=StringIO())


def failing_after(rounds: int, monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    """Have every simulation fail after so many rounds of nodes."""
    whole = Simulation.run

    def run(self: Simulation) -> Iterator[int]:
        for finished in whole(self):
            yield finished
            if finished >= rounds:
                raise failure

    monkeypatch.setattr(Simulation, "run", run)


@pytest.mark.parametrize("failure", [StateError("the disk is full"), UnreachableError("gone"), RuntimeError("a bug")])
def test_a_simulation_that_fails_leaves_a_report_of_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    failing_after(4, monkeypatch, failure)
    with pytest.raises(type(failure), match=str(failure)):
        simulate(request(tmp_path), quiet())
    assert 4 <= rounds_in(tmp_path) < 8
    assert (tmp_path / "page.html").exists()


def test_a_state_that_cannot_be_written_leaves_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StateError("make room")

    monkeypatch.setattr(Checkpoints, "save", full)
    with pytest.raises(StateError, match="make room"):
        simulate(request(tmp_path, checkpoint_every=2), quiet())
    assert rounds_in(tmp_path) >= 3


def test_the_first_failure_is_said_where_the_report_fails_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_after(4, monkeypatch, StateError("the disk is full"))
    (tmp_path / "rounds.csv").mkdir()
    with pytest.raises(StateError, match="the disk is full"):
        simulate(request(tmp_path), quiet())


def test_a_run_that_fails_before_its_first_round_leaves_a_former_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(request(tmp_path), quiet())

    def unreachable(_: Simulation) -> Iterator[int]:
        raise UnreachableError("no cluster")

    monkeypatch.setattr(Simulation, "build", unreachable)
    with pytest.raises(UnreachableError):
        simulate(request(tmp_path), quiet())
    assert rounds_in(tmp_path) == 8


@pytest.mark.parametrize("name", ["settings.toml", "command.txt"])
def test_a_directory_that_cannot_be_written_is_refused_before_the_first_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def build(_: Simulation) -> Iterator[int]:
        raise AssertionError("nothing is to be built")

    monkeypatch.setattr(Simulation, "build", build)
    (tmp_path / name).mkdir()
    with pytest.raises(SettingsError, match=r"cannot be written .*; name another one"):
        simulate(request(tmp_path), quiet())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, ExitCode.TERMINATED), (signal.SIGHUP, ExitCode.HANGUP)])
def test_other_signals_leave_a_report_as_ctrl_c_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: ExitCode
) -> None:
    whole = Simulation.run

    def run(self: Simulation) -> Iterator[int]:
        for finished in whole(self):
            yield finished
            if finished >= 4:
                signal.raise_signal(number)

    monkeypatch.setattr(Simulation, "run", run)
    former = signal.signal(number, signal.SIG_DFL)
    try:
        assert until_stopped(lambda: run_simulation(request(tmp_path))) is code
    finally:
        signal.signal(number, former)
    assert 4 <= rounds_in(tmp_path) < 8


def test_a_refused_resume_leaves_the_report_as_it_is(tmp_path: Path) -> None:
    simulate(request(tmp_path, checkpoint_every=2), quiet())
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    other = request(tmp_path, checkpoint_every=2, resume=True)
    with pytest.raises(DslnodeError, match="is of another simulation"):
        simulate(Request(**{**vars(other), "options": SimulationOptions(nodes=2, topology="ring", churn=0.1)}), quiet())
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()} == before
