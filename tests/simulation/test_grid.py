"""A grid is every combination of its values; each is checked as the command line is."""

from __future__ import annotations

import inspect
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from dslnode.cli.simulate_command import simulate as command
from dslnode.config.settings import Settings
from dslnode.errors import SettingsError
from dslnode.simulation.grid import OPTION_FIELDS, Outcome, check_distinct, combinations, outcome, over_seeds, varied
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


@pytest.mark.parametrize(
    "axis",
    [
        "seed=1,01",
        "churn=0,0.0",
        "alpha=1,1.0",
        "mask-novelty=true,1",
        "keep-ratio=0.3,0.30,0.1..0.2",
        "link=50kbit/s,0.05Mbit/s",
        "hostile=0.5:loud,0.50:loud",
        "data-cap=9MB/day,9000kB/day",
    ],
)
def test_a_value_that_is_written_in_two_ways_is_refused(axis: str) -> None:
    with pytest.raises(SettingsError, match=r"--grid \w+: \S+ and \S+ are the same value"):
        check_distinct(SETTINGS, OPTIONS, combinations(["local-steps=1,2", axis]))


def test_values_that_differ_are_taken() -> None:
    check_distinct(SETTINGS, OPTIONS, combinations(["seed=1,11", "churn=0,0.1", "layer-keep-ratios=0.*=0.5,1.*=0.5"]))


def test_settings_and_options_vary() -> None:
    settings, options = varied(SETTINGS, OPTIONS, {"seed": "7", "churn": "0.25", "topology": "complete"})
    assert settings == SETTINGS.model_copy(update={"seed": 7})
    assert options == replace(OPTIONS, churn=0.25, topology="complete")


ROWS = {
    "nodes": "5",
    "topology": "complete",
    "link": "50kbit/s",
    "step_time": "0.5",
    "speed": "0.5",
    "keep_ratio": "0.2..0.4",
    "churn": "0.25",
    "hostile": "0.2:loud",
    "parts": "3",
    "partition": "parts.jsonl",
    "rounds": "7",
    "until": "0.75",
    "wait_for_peers": "30",
}


def documented_options() -> list[str]:
    """Return the options in the first table of docs/simulation.md, as axes name them."""
    text = (Path(__file__).parents[2] / "docs" / "simulation.md").read_text(encoding="utf-8")
    section = text.partition("## What you choose")[2].partition("\n## ")[0]
    return [name.replace("-", "_") for name in re.findall(r"^\| `--([a-z-]+)", section, re.MULTILINE)]


def test_every_documented_option_varies_by_its_own_name() -> None:
    assert documented_options() == list(ROWS)
    for name, value in ROWS.items():
        [combination] = combinations([f"{name.replace('_', '-')}={value}"])
        settings, options = varied(SETTINGS, OPTIONS, combination)
        found = asdict(options).get(OPTION_FIELDS.get(name, ""), getattr(settings, name, None))
        assert str(found) == value or found == float(value), name
        assert (settings, options) != (SETTINGS, OPTIONS)


def test_every_option_that_is_no_setting_has_the_name_of_the_command_line() -> None:
    known = set(inspect.signature(command).parameters) | set(Settings.model_fields)
    assert set(OPTION_FIELDS) <= known


@pytest.mark.parametrize("name", ["peers", "share", "listen", "metrics", "keep", "nice", "shadow_alone"])
def test_what_simulated_nodes_do_not_have_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=f"--grid {name}: simulated nodes do not have this setting"):
        varied(SETTINGS, OPTIONS, {name: "1/2"})


def test_a_set_of_defaults_is_no_axis() -> None:
    with pytest.raises(SettingsError, match="take --grid method=ours,authors"):
        varied(SETTINGS, OPTIONS, {"algorithm": "authors"})


@pytest.mark.parametrize(
    "combination",
    [{"sed": "1"}, {"seed": "x"}, {"local_steps": "-1"}, {"churn": "often"}, {"speed": "x"}, {"until_score": "0.5"}],
)
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


def test_scores_of_several_kinds_are_named_together() -> None:
    kinds = [("1", "accuracy"), ("2", "balanced accuracy"), ("3", "accuracy and balanced accuracy"), ("4", "")]
    found = [({"churn": "0", "seed": seed}, replace(OUTCOME, score_name=name)) for seed, name in kinds]
    [(_, seeds, mean)] = over_seeds(found)
    assert (seeds, mean.score_name) == (4, "accuracy and balanced accuracy")
    [(_, _, alike)] = over_seeds(found[:1])
    assert alike.score_name == "accuracy"


def test_an_outcome_is_that_of_the_honest_nodes() -> None:
    ended = finished(hostile="0.2:inverted")
    hostile = frozenset(i for i, board in enumerate(ended.prepared.plan.boards) if board.hostile)
    found = outcome(ended.records, hostile=hostile)
    last = [record for record in ended.records if record.round == 3 and record.node not in hostile]
    assert found.rounds == 3
    assert found.worst_score == min(record.score for record in last if record.score is not None)
    assert found.payload_bits == pytest.approx(sum(record.payload_bits for record in last) / 5)
