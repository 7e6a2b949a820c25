"""A simulation with ``--until`` says whether and when it got there, by its exit code too, and how far it is."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from dslnode.cli.simulate import Request, simulate
from dslnode.config.loader import load
from dslnode.errors import ExitCode
from dslnode.simulation.simulation import SimulationOptions


def request(directory: Path, until: float | None, rounds: int = 2) -> Request:
    """Return a request of two nodes."""
    loaded = load(
        {"rounds": str(rounds), "local_steps": "1", "model": "mlp", "seed": "1", "evaluate_every": "1"}, {}, None
    )
    options = SimulationOptions(nodes=2, topology="ring", until_score=until)
    return Request(loaded=loaded, options=options, directory=directory)


@pytest.mark.parametrize("method", ["ours", "dpsgd"])
@pytest.mark.parametrize(
    ("until", "code", "said"),
    [
        (0.001, ExitCode.DONE, r"a mean score of 0.1 % was reached in round 1 after"),
        (1.0, ExitCode.PROBLEM, "a mean score of 100.0 % was not reached within 2 rounds"),
    ],
)
def test_it_says_whether_the_score_was_reached(
    tmp_path: Path, method: str, until: float, code: ExitCode, said: str
) -> None:
    text = StringIO()
    asked = request(tmp_path, until)
    asked = replace(asked, options=replace(asked.options, method=method))
    assert simulate(asked, Console(file=text, width=200))[0] is code
    assert said in text.getvalue()
    assert (tmp_path / "rounds.csv").exists()


def test_without_a_score_nothing_is_said_of_one(tmp_path: Path) -> None:
    text = StringIO()
    assert simulate(request(tmp_path, None), Console(file=text, width=200))[0] is ExitCode.DONE
    assert "mean score" not in text.getvalue()


@pytest.mark.parametrize(
    ("until", "rounds", "wanted"),
    [
        (0.001, 2, ("rounds of nodes, at most", 4)),
        (0.001, 0, ("rounds of nodes, at most", None)),
        (None, 2, ("rounds of nodes", 4)),
    ],
)
def test_progress_knows_its_end_wherever_there_is_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    until: float | None,
    rounds: int,
    wanted: tuple[str, float | None],
) -> None:
    shown: list[tuple[str, float | None]] = []
    add = Progress.add_task

    def add_task(self: Progress, description: str, total: float | None = None) -> int:
        shown.append((description, total))
        return add(self, description, total=total)

    monkeypatch.setattr(Progress, "add_task", add_task)
    simulate(request(tmp_path, until, rounds), Console(file=StringIO()))
    assert shown[1] == wanted
