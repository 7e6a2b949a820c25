"""Settings that a method makes nothing of are refused by name; in a grid of methods they hold for those that do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dslnode.cli.simulate_unused import (
    OF_ALL_METHODS,
    OF_NEIGHBOURS,
    OF_THE_AUTHORS_FORM,
    OF_THE_NEIGHBOUR_MEAN,
    check_partition,
    check_used,
)
from dslnode.config.loader import LoadedSettings, load
from dslnode.config.settings import Settings
from dslnode.config.toml import settings_as_toml
from dslnode.errors import SettingsError
from dslnode.simulation.methods.recipes import METHODS
from dslnode.simulation.simulation import SimulationOptions


def check(method: str, given: dict[str, str], options: dict[str, Any] | None = None) -> tuple[str, ...]:
    return check_used(load(given, {}, None), SimulationOptions(method=method, **(options or {})))


def test_all_names_are_settings() -> None:
    assert set(Settings.model_fields) >= OF_ALL_METHODS | OF_NEIGHBOURS | OF_THE_AUTHORS_FORM | OF_THE_NEIGHBOUR_MEAN


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("exchange", "both"),
        ("send_threshold", "0"),
        ("group_lasso", "0.003"),
        ("fine_tuning", "fresh"),
        ("alpha", "10"),
        ("algorithm", "authors"),
        ("device", "cuda"),
        ("learning_rate", "0.05"),
        ("own_classes", "false"),
        ("max_lead", "1"),
    ],
)
def test_what_only_masks_have_is_refused_by_name(method: str, name: str, value: str) -> None:
    option = "--" + name.replace("_", "-")
    with pytest.raises(SettingsError, match=rf"--method {method}: makes nothing of {option}; leave it out"):
        check(method, {name: value})


def test_the_remedy_for_a_learning_rate_names_the_methods_own() -> None:
    with pytest.raises(SettingsError, match="--method-rate"):
        check("dpsgd", {"learning_rate": "0.05"})


@pytest.mark.parametrize("options", [{"keep_ratio": "0.1..0.7"}, {"wait_for_peers": 5.0}])
def test_options_of_simulated_daemons_are_refused_as_well(options: dict[str, Any]) -> None:
    name = next(iter(options)).replace("_", "-")
    with pytest.raises(SettingsError, match=f"--method fedpm: makes nothing of --{name}"):
        check("fedpm", {}, options)
    assert check("ours", {}, options) == check("authors", {}, options) == ()


def test_all_of_them_are_named_with_where_they_were_set(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text("alpha = 2.0\n")
    loaded = load({"momentum": "0.5"}, {"DSLNODE_FINE_TUNING": "fresh"}, file)
    said = f"--alpha (from {file}), --momentum, --fine-tuning (from DSLNODE_FINE_TUNING)"
    with pytest.raises(SettingsError) as caught:
        check_used(loaded, SimulationOptions(method="dpsgd"))
    assert all(part in str(caught.value) for part in said.split(", "))


@pytest.mark.parametrize("method", ["dpsgd", "authors", "masks_alone", "ours"])
def test_defaults_and_what_all_methods_have_are_taken(method: str) -> None:
    given = {"alpha": "1.0", "exchange": "sign", "data": "digits", "split": "classes:4", "batch_size": "16"}
    given |= {"uneven_classes": "by_frequency"}
    allowed = given if method != "authors" else {**given, "batch_size": "128"}
    assert check(method, allowed) == ()


@pytest.mark.parametrize(("name", "value"), [("learning_rate", "5"), ("exchange", "both"), ("batch_size", "16")])
def test_the_authors_form_is_not_changed_in_silence(name: str, value: str) -> None:
    option = "--" + name.replace("_", "-")
    said = f"--method authors: makes nothing of {option}; leave it out, or take --algorithm authors"
    with pytest.raises(SettingsError, match=re.escape(said)):
        check("authors", {name: value})


def test_the_authors_own_values_and_other_settings_are_taken() -> None:
    given = {"algorithm": "authors", "learning_rate": "10", "local_steps": "10", "robust_aggregation": "clipped"}
    assert check("authors", given) == ()


@pytest.mark.parametrize(("name", "value"), [("alpha", "10"), ("send_threshold", "0"), ("data_cap", "9MB/day")])
def test_nodes_without_neighbours_have_no_settings_of_them(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match="--method masks_alone: makes nothing of --"):
        check("masks_alone", {name: value})


def in_a_grid(method: str, compared: tuple[str, ...], axes: tuple[str, ...]) -> tuple[str, ...]:
    loaded = load({"alpha": "10"}, {}, None)
    origins = {**loaded.origins, **{name: "--grid" for name in axes if name in loaded.origins}}
    options = SimulationOptions(method=method)
    return check_used(LoadedSettings(loaded.settings, origins), options, axes=axes, compared=compared)


def test_in_a_grid_of_methods_a_setting_holds_for_those_that_use_it() -> None:
    methods = ("ours", "dpsgd")
    assert in_a_grid("ours", methods, ("method",)) == ()
    assert in_a_grid("dpsgd", methods, ("method",)) == ("alpha",)
    with pytest.raises(SettingsError, match="--alpha"):
        in_a_grid("dpsgd", ("dpsgd", "fedpm"), ("method",))
    with pytest.raises(SettingsError, match="--alpha"):
        in_a_grid("dpsgd", methods, ("method", "alpha"))


def test_an_unknown_method_is_not_told_of_settings() -> None:
    assert check("sgd", {"alpha": "10"}) == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [("split", "classes:4"), ("classes", "0,1"), ("samples_per_class", "5"), ("held_out_fraction", "0.5")],
)
def test_a_partition_takes_the_place_of_a_draw(name: str, value: str, tmp_path: Path) -> None:
    options, option = SimulationOptions(partition="parts.jsonl"), "--" + name.replace("_", "-")
    for given, environment in (({name: value}, {}), ({}, {f"DSLNODE_{name.upper()}": value})):
        loaded = load(given, environment, None)
        assert check_partition(loaded, SimulationOptions()) == []
        with pytest.raises(SettingsError, match=rf"--partition parts.jsonl: says .*, in place of {option}"):
            check_partition(loaded, options)
    file = tmp_path / "settings.toml"
    file.write_text(settings_as_toml(load({name: value}, {}, None)))
    assert check_partition(load({}, {}, file), options) == [option[2:]], "as a report has it beside its partition"


def test_a_partition_beside_an_axis_of_splits_is_refused() -> None:
    loaded = load({}, {}, None)
    loaded = LoadedSettings(loaded.settings, {**loaded.origins, "split": "--grid"})
    with pytest.raises(SettingsError, match="in place of --split"):
        check_partition(loaded, SimulationOptions(partition="parts.jsonl"), axes=("split",))
