"""A grid is checked as a whole before it runs; what is done of it is never lost, nor mixed with another grid's."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dslnode.cli.simulate import Request
from dslnode.cli.simulate_grid import run_grid
from dslnode.config.loader import load
from dslnode.errors import DslnodeError, ExitCode, SettingsError, StateError
from dslnode.simulation.simulation import Simulation, SimulationOptions

SEEDS = "seed=1,2,3"


def request(directory: Path, *, options: dict[str, Any] | None = None, **given: Any) -> Request:
    """Return a request of two nodes and two rounds."""
    loaded = load({"rounds": "2", "local_steps": "1", "model": "mlp", "evaluate_every": "1"}, {}, None)
    chosen: dict[str, Any] = {"nodes": 2, "topology": "ring", **(options or {})}
    return Request(loaded=loaded, options=SimulationOptions(**chosen), directory=directory, **given)


@pytest.fixture
def seeds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collect the seeds of the simulations that begin to run."""
    begun: list[int] = []
    whole = Simulation.build

    def build(self: Simulation) -> Iterator[int]:
        begun.append(self.prepared.settings.seed)
        yield from whole(self)

    monkeypatch.setattr(Simulation, "build", build)
    return begun


@pytest.fixture
def failing_seed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have the simulations with these seeds fail after their first round."""
    failing: list[int] = []
    whole = Simulation.run

    def run(self: Simulation) -> Iterator[int]:
        for finished in whole(self):
            yield finished
            if self.prepared.settings.seed in failing and finished >= 2:
                raise StateError("the disk is full")

    monkeypatch.setattr(Simulation, "run", run)
    return failing


@pytest.mark.parametrize(
    "axis",
    [
        "nodes=2,0",
        "parts=1,-1",
        "parts=1,5000",
        "step-time=0.01,nan",
        "link=1Mbit/s,fast",
        "hostile=0.5:loud,0.5:rude",
        "hostile=0.5:loud,1:loud",
        "topology=ring,star",
        "method=ours,rude",
        "partition=missing.jsonl",
        "until=0.5,90",
        "peers=a:1,b:2",
    ],
)
def test_a_combination_that_cannot_be_is_refused_before_any_runs(tmp_path: Path, seeds: list[int], axis: str) -> None:
    with pytest.raises(DslnodeError, match="--"):
        run_grid(request(tmp_path / "grid"), [axis])
    assert seeds == []
    assert not (tmp_path / "grid").exists()


@pytest.mark.parametrize(
    ("options", "given"),
    [
        ({"churn": 0.1}, {}),
        ({"hostile": "0.5:loud"}, {}),
        ({}, {"checkpoint_every": 1}),
        ({"method_rate": 0.1}, {}),
    ],
)
def test_options_that_a_method_does_not_have_are_refused_before_any_runs(
    tmp_path: Path, seeds: list[int], options: dict[str, Any], given: dict[str, Any]
) -> None:
    with pytest.raises(SettingsError, match=r"--method(-rate)?[ :]"):
        run_grid(request(tmp_path, options=options, **given), ["method=ours,dpsgd"])
    assert seeds == []


@pytest.mark.parametrize(
    "axes",
    [["method=authors", "learning-rate=0.1,10"], ["method=dpsgd", "alpha=0,10"], ["method=ours,dpsgd", "alpha=0,1"]],
)
def test_an_axis_that_a_method_makes_nothing_of_is_refused_before_any_runs(
    tmp_path: Path, seeds: list[int], axes: list[str]
) -> None:
    with pytest.raises(SettingsError, match=r"--method (authors|dpsgd): makes nothing of --"):
        run_grid(request(tmp_path), axes)
    assert seeds == []


def test_what_a_method_of_a_grid_does_without_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = request(tmp_path)
    loaded = load({"rounds": "1", "local_steps": "1", "model": "mlp", "send_threshold": "0"}, {}, None)
    assert run_grid(replace(plan, loaded=loaded), ["method=ours,dense_alone"]) is ExitCode.DONE
    assert "method dense_alone does without send-threshold" in capsys.readouterr().out


def test_scores_of_two_kinds_are_named_in_the_table_and_in_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = tmp_path / "uneven.csv"
    rows = (f"{place % 7},{place % 5},{'worn' if place % 10 == 0 else 'ok'}" for place in range(200))
    examples.write_text("\n".join(("heat,noise,state", *rows)) + "\n")
    plan = request(tmp_path / "grid")
    loaded = load({"rounds": "1", "local_steps": "1", "model": "mlp", "data": f"csv:{examples}"}, {}, None)
    assert run_grid(replace(plan, loaded=loaded), ["uneven_classes=alike,by_frequency"]) is ExitCode.DONE
    said = capsys.readouterr().out
    assert said.count("seeds  rounds") == 2, "a table for each kind"
    assert re.search(r"balanced\s.*\n.*accuracy.*\nalike ", said)
    with (tmp_path / "grid" / "grid.csv").open(encoding="utf-8", newline="") as table:
        found = [(row["uneven_classes"], row["score_name"]) for row in csv.DictReader(table)]
    assert found == [("alike", "balanced accuracy"), ("by_frequency", "accuracy")]
    page = (tmp_path / "grid" / "grid.html").read_text(encoding="utf-8")
    assert "uneven_classes alike (balanced accuracy)" in page


def test_what_is_done_is_shown_after_a_failure_and_not_run_again(
    tmp_path: Path, seeds: list[int], failing_seed: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    failing_seed.append(2)
    with pytest.raises(StateError, match="the disk is full"):
        run_grid(request(tmp_path), [SEEDS])
    said = capsys.readouterr().out
    assert "seeds  rounds" in said
    assert "all runs:" in said
    assert (tmp_path / "grid.html").exists()
    with pytest.raises(SettingsError, match="unfinished grid, with 1 of 3 simulations done; add --resume"):
        run_grid(request(tmp_path), [SEEDS])
    failing_seed.clear()
    assert run_grid(request(tmp_path, resume=True), [SEEDS]) is ExitCode.DONE
    assert seeds == [1, 2, 2, 3]
    assert run_grid(request(tmp_path), ["seed=4"]) is ExitCode.DONE, "a grid that is done may be replaced"


def test_an_interrupted_run_of_a_grid_goes_on_from_its_state(tmp_path: Path, failing_seed: list[int]) -> None:
    failing_seed.append(1)
    given: dict[str, Any] = {"checkpoint_every": 1}
    with pytest.raises(StateError):
        run_grid(request(tmp_path, **given), [SEEDS])
    with pytest.raises(SettingsError, match="unfinished simulation, saved after round 1"):
        run_grid(request(tmp_path, **given), [SEEDS])
    failing_seed.clear()
    before = (tmp_path / "seed=1" / "state" / "complete.json").read_text()
    assert '"round": 1' in before
    assert run_grid(request(tmp_path, resume=True, **given), [SEEDS]) is ExitCode.DONE


def test_a_grid_of_other_settings_is_refused(tmp_path: Path, seeds: list[int]) -> None:
    run_grid(request(tmp_path), ["seed=1"])
    with pytest.raises(StateError, match="is not of this grid"):
        run_grid(request(tmp_path, options={"churn": 0.1}, resume=True), ["seed=1,2"])
    assert seeds == [1]


def test_a_run_whose_report_is_gone_is_said_before_the_others_run(tmp_path: Path, seeds: list[int]) -> None:
    run_grid(request(tmp_path), ["seed=1"])
    (tmp_path / "seed=1" / "nodes.csv").write_text("number\n1\n")
    with pytest.raises(StateError, match="delete its row"):
        run_grid(request(tmp_path, resume=True), ["seed=1,2"])
    assert seeds == [1]


def test_a_score_that_one_of_them_does_not_reach_gives_the_exit_code_of_that(tmp_path: Path, seeds: list[int]) -> None:
    assert run_grid(request(tmp_path), ["until=0.001,1.0"]) is ExitCode.PROBLEM
    assert len(seeds) == 2
    assert run_grid(request(tmp_path, resume=True), ["until=0.001,1.0"]) is ExitCode.PROBLEM
    assert len(seeds) == 2


def test_a_run_that_is_done_is_not_run_again_because_its_value_is_written_in_another_way(
    tmp_path: Path, seeds: list[int]
) -> None:
    assert run_grid(request(tmp_path), ["seed=1,2"]) is ExitCode.DONE
    assert run_grid(request(tmp_path, resume=True), ["seed=01,3"]) is ExitCode.DONE
    assert seeds == [1, 2, 3]
