"""What is done of a grid is found again by the same grid, and by no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dslnode.config.settings import Settings
from dslnode.errors import SettingsError, StateError
from dslnode.simulation.grid import Combination, Outcome
from dslnode.simulation.grid_directory import GridDirectory, grid_identity, run_name
from dslnode.simulation.simulation import SimulationOptions

OPTIONS = SimulationOptions(nodes=4, topology="ring")
SETTINGS = Settings(name="simulated", rounds=3)
OUTCOME = Outcome(
    rounds=3, mean_score=0.9, worst_score=0.8, payload_bits=100, wire_bytes=30, seconds=2.0, score_name="accuracy"
)
FOUND: list[tuple[Combination, Outcome]] = [
    ({"seed": "1", "churn": "0"}, OUTCOME),
    ({"seed": "2", "churn": "0.5"}, replace(OUTCOME, mean_score=None, worst_score=None)),
]


def grid(directory: Path, identity: str = "one") -> GridDirectory:
    return GridDirectory(directory, identity, ["seed", "churn"])


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    grid(tmp_path).begin(4, FOUND)
    assert grid(tmp_path).read() == FOUND
    assert {file.name for file in tmp_path.iterdir()} == {"grid.csv", "grid.json"}


def test_a_table_without_the_names_of_scores_is_read(tmp_path: Path) -> None:
    grid(tmp_path).begin(4, FOUND)
    table = tmp_path / "grid.csv"
    rows = table.read_text(encoding="utf-8").splitlines()
    assert rows[0].endswith(",score_name")
    table.write_text("\n".join(row.rpartition(",")[0] for row in rows) + "\n", encoding="utf-8")
    assert grid(tmp_path).read() == [(run, replace(found, score_name="")) for run, found in FOUND]


def test_nothing_is_done_where_there_is_nothing(tmp_path: Path) -> None:
    assert grid(tmp_path).read() == []
    grid(tmp_path).check_free()


def test_another_grid_is_not_taken_for_this_one(tmp_path: Path) -> None:
    grid(tmp_path, "another").begin(4, FOUND)
    with pytest.raises(StateError, match=r"is not of this grid \(its settings, options or axes were others\)"):
        grid(tmp_path).read()


@pytest.mark.parametrize("row", ["3", "3,0", "3,0,3,0.5,0.5,1,1,1,accuracy,9", "3,0,x,0.5,0.5,1,1,1,accuracy"])
def test_a_damaged_row_is_refused(tmp_path: Path, row: str) -> None:
    grid(tmp_path).begin(4, FOUND)
    with (tmp_path / "grid.csv").open("a", encoding="utf-8") as file:
        file.write(row + "\r\n")
    with pytest.raises(StateError, match="is not of this grid"):
        grid(tmp_path).read()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"identity": "one"}', '{"identity": "one", "simulations": []}'])
def test_damaged_facts_are_refused(tmp_path: Path, text: str) -> None:
    grid(tmp_path).begin(4, FOUND)
    (tmp_path / "grid.json").write_text(text)
    with pytest.raises(StateError, match="is not of this grid"):
        grid(tmp_path).read()
    grid(tmp_path).check_free()


def test_an_unfinished_grid_is_not_begun_anew_by_accident(tmp_path: Path) -> None:
    grid(tmp_path).begin(3, FOUND)
    with pytest.raises(SettingsError, match="unfinished grid, with 2 of 3 simulations done; add --resume"):
        grid(tmp_path, "another").check_free()
    grid(tmp_path).begin(2, FOUND)
    grid(tmp_path, "another").check_free()
    grid(tmp_path).begin(3, [])
    grid(tmp_path, "another").check_free()


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "grid.json").mkdir()
    with pytest.raises(SettingsError, match="cannot be written"):
        grid(tmp_path).begin(3, FOUND)


def identity(settings: Settings = SETTINGS, options: SimulationOptions = OPTIONS, *names: str) -> str:
    return grid_identity(settings, options, names or ("seed",), like=False)


@pytest.mark.parametrize(
    "change", [{"rounds": 4}, {"local_steps": 7}, {"data_cap": "1MB/day"}, {"layer_keep_ratios": {"0.*": 0.5}}]
)
def test_other_settings_are_another_grid(change: dict[str, Any]) -> None:
    assert identity() != identity(SETTINGS.model_copy(update=change))


@pytest.mark.parametrize("change", [{"nodes": 5}, {"churn": 0.1}, {"method": "dpsgd"}, {"until_score": 0.5}])
def test_other_options_are_another_grid(change: dict[str, Any]) -> None:
    assert identity() != identity(SETTINGS, replace(OPTIONS, **change))


def test_values_of_an_axis_and_what_is_not_simulated_are_no_matter() -> None:
    assert identity() == identity(SETTINGS.model_copy(update={"seed": 9, "log_level": "debug", "peers": ("a:1",)}))
    other = replace(OPTIONS, churn=0.5, until_score=0.5)
    assert identity(SETTINGS, OPTIONS, "churn", "until") == identity(SETTINGS, other, "churn", "until")
    assert identity(SETTINGS, OPTIONS, "churn", "seed") == identity(SETTINGS, OPTIONS, "seed", "churn")
    assert identity() != identity(SETTINGS, OPTIONS, "churn")
    assert identity() != grid_identity(SETTINGS, OPTIONS, ["seed"], like=True)


@pytest.mark.parametrize("option", ["partition", "topology"])
def test_a_file_counts_by_what_is_in_it(tmp_path: Path, option: str) -> None:
    names = [tmp_path / "a", tmp_path / "b"]
    for file in names:
        file.write_text("0 1\n")
    given: list[dict[str, Any]] = [{option: str(file)} for file in names]
    first, same = (identity(SETTINGS, replace(OPTIONS, **each)) for each in given)
    names[1].write_text("0 2\n")
    assert first == same != identity(SETTINGS, replace(OPTIONS, **given[1]))


def test_every_combination_has_a_directory_of_its_own() -> None:
    values = ["a/b", "a_b", "a:b", "a b", "A_b", "..", "x" * 300, "x" * 301]
    names = [run_name({"topology": value, "seed": "1"}) for value in values]
    assert len(set(names)) == len(values)
    assert all(len(name) < 200 and "/" not in name for name in names)
    assert run_name({"churn": "0.5", "seed": "-1"}) == "churn=0.5,seed=-1"
