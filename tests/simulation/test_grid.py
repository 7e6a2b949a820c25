"""A grid is every combination of its values; each is checked as the command line is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dslnode.config.settings import Settings
from dslnode.errors import SettingsError
from dslnode.simulation.grid import Outcome, combinations, outcome, over_seeds, varied
from dslnode.simulation.simulation import SimulationOptions
from tests.simulation.networks import finished

OPTIONS = SimulationOptions(nodes=4, topology="ring")
SETTINGS = Settings(name="simulated", split="classes:4", layer_keep_ratios={"0.*": 0.5})
OUTCOME = Outcome(rounds=3, mean_score=0.9, worst_score=0.8, payload_bits=100, wire_bytes=30, seconds=2.0)


def test_every_combination_is_run_the_last_axis_first() -> None:
    runs = combinations(["local-steps=10,30", "seed=1,2"])
    assert [tuple(run.values()) for run in runs] == [("10", "1"), ("10", "2"), ("30", "1"), ("30", "2")]
    assert list(runs[0]) == ["local_steps", "seed"]


@pytest.mark.parametrize("axes", [["seed"], ["seed="], ["=1"], ["seed=1,,2"], ["seed=1,1"], ["seed=1", "seed=2"]])
def test_what_is_no_axis_is_refused(axes: list[str]) -> None:
    with pytest.raises(SettingsError, match="--grid"):
        combinations(axes)


def test_too_many_runs_are_refused() -> None:
    values = ",".join(map(str, range(200)))
    with pytest.raises(SettingsError, match="are the most"):
        combinations([f"seed={values}", f"local_steps={values}"])


def test_settings_and_options_vary() -> None:
    settings, options = varied(SETTINGS, OPTIONS, {"seed": "7", "churn": "0.25", "topology": "complete"})
    assert settings == SETTINGS.model_copy(update={"seed": 7})
    assert options == replace(OPTIONS, churn=0.25, topology="complete")


@pytest.mark.parametrize("combination", [{"sed": "1"}, {"seed": "x"}, {"local_steps": "-1"}, {"churn": "often"}])
def test_a_wrong_value_is_named(combination: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=next(iter(combination))):
        varied(SETTINGS, OPTIONS, combination)


def test_the_table_is_a_mean_over_seeds() -> None:
    other = replace(OUTCOME, mean_score=0.7, payload_bits=300)
    unknown = replace(OUTCOME, mean_score=None)
    rows = list(
        over_seeds(
            [
                ({"churn": "0", "seed": "1"}, OUTCOME),
                ({"churn": "0", "seed": "2"}, other),
                ({"churn": "0.5", "seed": "1"}, unknown),
            ]
        )
    )
    assert [(combination, seeds) for combination, seeds, _ in rows] == [({"churn": "0"}, 2), ({"churn": "0.5"}, 1)]
    assert rows[0][2].mean_score == pytest.approx(0.8)
    assert replace(rows[0][2], mean_score=0.9) == replace(OUTCOME, payload_bits=200)
    assert rows[1][2].mean_score is None


def test_an_outcome_is_that_of_the_honest_nodes() -> None:
    ended = finished(hostile="0.2:inverted")
    hostile = frozenset(i for i, board in enumerate(ended.prepared.plan.boards) if board.hostile)
    found = outcome(ended.records, hostile=hostile)
    last = [record for record in ended.records if record.round == 3 and record.node not in hostile]
    assert found.rounds == 3
    assert found.worst_score == min(record.score for record in last if record.score is not None)
    assert found.payload_bits == pytest.approx(sum(record.payload_bits for record in last) / 5)
