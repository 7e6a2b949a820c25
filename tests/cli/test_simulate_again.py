"""A report directory that is used again: nothing of a former run stays, and what is done already is said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dslnode.cli.endings import Stopped
from dslnode.cli.simulate import Request, simulate
from dslnode.cli.simulate_grid import run_grid
from dslnode.config.loader import load
from dslnode.errors import ExitCode, SettingsError, StateError
from dslnode.simulation.method_simulation import MethodSimulation
from dslnode.simulation.report.report import held_report
from dslnode.simulation.simulation import SimulationOptions

OPTIONS: dict[str, Any] = {"nodes": 2, "topology": "ring"}


def request(directory: Path, rounds: int = 2, options: dict[str, Any] | None = None, **given: Any) -> Request:
    """Return a request of two nodes."""
    loaded = load({"rounds": str(rounds), "local_steps": "1", "model": "mlp", "evaluate_every": "1"}, {}, None)
    return Request(loaded=loaded, options=SimulationOptions(**OPTIONS, **(options or {})), directory=directory, **given)


def said(asked: Request) -> str:
    """Return what a simulation prints."""
    text = StringIO()
    simulate(asked, Console(file=text, width=300))
    return text.getvalue()


def begun_grid(directory: Path, done: int) -> None:
    """Leave the files of a grid of two simulations of which so many are done."""
    directory.mkdir(exist_ok=True)
    (directory / "grid.json").write_text(json.dumps({"identity": "x", "simulations": 2}))
    (directory / "grid.csv").write_text("seed,rounds\n" + "1,2\n" * done)


def test_what_the_new_report_does_not_have_is_removed_and_nothing_else(tmp_path: Path) -> None:
    simulate(request(tmp_path, reference="dense_alone"), Console(file=StringIO()))
    assert (tmp_path / "reference.csv").exists()
    begun_grid(tmp_path, done=2)
    for name in ("likeness.json", "notes.txt", "reference.csv.bak"):
        (tmp_path / name).write_text("{}")
    said(request(tmp_path))
    names = {file.name for file in tmp_path.iterdir()}
    assert {"page.html", "rounds.csv", "notes.txt", "reference.csv.bak"} <= names
    assert not {"reference.csv", "likeness.json", "grid.csv", "grid.json"} & names


def test_a_grid_takes_the_place_of_a_report(tmp_path: Path) -> None:
    said(request(tmp_path))
    assert run_grid(request(tmp_path), ["seed=1"]) is ExitCode.DONE
    assert {file.name for file in tmp_path.iterdir()} == {"grid.csv", "grid.json", "grid.html", "seed=1"}


def test_an_unfinished_grid_is_not_replaced_by_one_simulation_nor_the_other_way_round(tmp_path: Path) -> None:
    begun_grid(tmp_path / "grid", done=1)
    with pytest.raises(SettingsError, match="unfinished grid, with 1 of 2"):
        said(request(tmp_path / "grid"))
    assert (tmp_path / "grid" / "grid.csv").exists()
    said(request(tmp_path / "plan", checkpoint_every=1))
    (tmp_path / "plan" / "state" / "ended").unlink()
    with pytest.raises(SettingsError, match="unfinished simulation, saved after round 2"):
        run_grid(request(tmp_path / "plan"), ["seed=1"])


def test_fewer_rounds_than_are_saved_are_said(tmp_path: Path) -> None:
    assert "saved already" not in said(request(tmp_path, rounds=3, checkpoint_every=1))
    again = said(request(tmp_path, rounds=2, checkpoint_every=1, resume=True))
    assert "--rounds 2: 3 are saved already, and nothing is left to do; the report has all of them" in again
    assert "saved already" not in said(request(tmp_path, rounds=4, checkpoint_every=1, resume=True))


def test_that_the_score_was_reached_is_said_though_the_reference_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(_: MethodSimulation) -> Iterator[int]:
        raise Stopped(ExitCode.INTERRUPTED)

    monkeypatch.setattr(MethodSimulation, "run", run)
    text = said(request(tmp_path, options={"until_score": 0.001}, reference="dpsgd"))
    assert "interrupted" in text
    assert "a mean score of 0.1 % was reached in round 1" in text


def test_a_score_that_was_reached_before_an_interruption_is_said_after_it(tmp_path: Path) -> None:
    said(request(tmp_path, rounds=3, checkpoint_every=1))
    again = request(tmp_path, rounds=3, options={"until_score": 0.001}, checkpoint_every=1, resume=True)
    assert "was reached in round 1" in said(again)


def test_how_many_rounds_the_authors_form_has_is_said(tmp_path: Path) -> None:
    loaded = load({"rounds": "1", "local_steps": "3", "model": "mlp"}, {}, None)
    options = SimulationOptions(**OPTIONS, method="authors")
    text = said(Request(loaded=loaded, options=options, directory=tmp_path))
    assert "the authors' form has 3 rounds of 1 local step, which are as many steps as 1 rounds of 3" in text


@pytest.mark.parametrize("axes", [[], ["seed=1"]])
def test_a_report_that_another_simulation_is_writing_is_left_alone(tmp_path: Path, axes: list[str]) -> None:
    with held_report(tmp_path), pytest.raises(StateError, match="another simulation is writing it"):
        run_grid(request(tmp_path), axes) if axes else said(request(tmp_path))
    assert list(tmp_path.iterdir()) == []
