"""From settings to a learner: nothing lost on the way, and nodes of one seed hold disjoint data."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest
import torch
from torch import nn

from dslnode.config.presets import PRESETS
from dslnode.config.settings import Settings
from dslnode.errors import DataError, ModelError, SettingsError
from dslnode.learning.options import InitializationOptions, TrainingOptions
from dslnode.runtime import build

RENAMED = {"network_seed": "seed"}
BASE: dict[str, Any] = {"name": "board-1", "metrics": "off"}


def with_biases(input_shape: tuple[int, ...], class_count: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(input_shape), class_count))


def another(field: str) -> object:
    """Return a value that the setting does not have by default."""
    annotation, default = Settings.model_fields[field].annotation, Settings.model_fields[field].default
    if get_origin(annotation) is Literal:
        return next(choice for choice in get_args(annotation) if choice != default)
    if isinstance(default, bool):
        return not default
    if isinstance(default, int):
        return default + 1
    if isinstance(default, float):
        return default / 2 + 0.125
    return {
        "robust_aggregation": "clipped",
        "linear_keep_ratio": 0.7,
        "mask_power": 0.5,
        "layer_keep_ratios": {"a*": 0.1, "b": 0.2},
    }[field]


def with_only(field: str) -> Settings:
    """Return settings that differ from the default in one field (and in what it needs)."""
    unsigned: dict[str, object] = {"mask_novelty": False, "exchange": "keep", "weights_per_score": 1}
    needed = {"signed_scores": unsigned, "shared_scores": unsigned}.get(field, {})
    return Settings.model_validate({**BASE, **needed, field: another(field)})


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(TrainingOptions)])
def test_every_part_of_the_training_options_follows_the_setting_of_its_meaning(field: str) -> None:
    setting = RENAMED.get(field, field)
    settings = with_only(setting)
    changed, default = (getattr(build.training_options(s), field) for s in (settings, Settings(**BASE)))
    assert changed == getattr(settings, setting)
    assert changed != default


@pytest.mark.parametrize(
    "field", [field.name for field in dataclasses.fields(InitializationOptions) if field.name != "node_seed"]
)
def test_every_part_of_the_initialization_follows_the_setting_of_its_meaning(field: str) -> None:
    setting = RENAMED.get(field, field)
    settings = with_only(setting)
    changed, default = (getattr(build.initialization_options(s), field) for s in (settings, Settings(**BASE)))
    value = getattr(settings, setting)
    assert changed == (tuple(value.items()) if isinstance(value, dict) else value)
    assert changed != default


def test_the_defaults_of_settings_and_of_the_learner_are_the_same() -> None:
    assert build.training_options(Settings(**BASE)) == TrainingOptions()
    default = build.initialization_options(Settings(**BASE))
    assert default == InitializationOptions(default.network_seed, default.node_seed)


def test_the_authors_preset_reaches_the_learner() -> None:
    settings = Settings(**BASE, **PRESETS["authors"])
    plan, origin = build.training_options(settings), build.initialization_options(settings)
    assert (plan.step_rule, plan.signed_scores, plan.mask_novelty, plan.fine_tuning) == (
        "momentum",
        False,
        False,
        "stale",
    )
    assert (origin.linear_keep_ratio, origin.shared_scores, origin.scale_kept) == (0.9, False, False)


def test_a_nodes_own_seed_follows_from_the_seed_and_its_name_alone() -> None:
    seeds = {
        build.initialization_options(Settings(name=name, seed=seed, share=share)).node_seed
        for name, seed, share in (("a", 1, "1/1"), ("a", 1, "1/2"), ("b", 1, "1/1"), ("a", 2, "1/1"))
    }
    assert len(seeds) == 3


@pytest.mark.parametrize("split", ["even", "classes:3", "dirichlet:0.5"])
def test_nodes_of_one_seed_hold_disjoint_shares_and_the_same_held_out_rule(split: str) -> None:
    nodes = [Settings(name=f"board-{i}", share=f"{i}/4", split=split, seed=7) for i in range(1, 5)]
    parts = [build.node_data(settings) for settings in nodes]
    seen = [{image.tobytes() for image in part.train.images} for part in parts]
    assert all(seen)
    assert sum(map(len, seen)) == len(set().union(*seen))
    held_out = {image.tobytes() for part in parts if part.held_out for image in part.held_out.images}
    assert held_out.isdisjoint(set().union(*seen)), "nobody trains on what another is measured by"


def test_data_settings_cut_the_slice_that_they_name() -> None:
    settings = Settings(**BASE, classes=(3, 7), samples_per_class=5, held_out_fraction=0.5)
    data = build.node_data(settings)
    assert np.unique(data.train.labels, return_counts=True)[1].tolist() == [5, 5]
    assert data.held_out is not None
    assert set(data.held_out.labels) == {3, 7}
    assert 150 < len(data.held_out) < 210
    assert data.class_count == 10
    assert build.node_data(Settings(**BASE, class_count=12)).class_count == 12


def test_two_nodes_of_one_run_start_from_the_same_network_and_mask() -> None:
    one, other = (build.build_learner(Settings(name=f"board-{i}", share=f"{i}/2", keep_ratio=0.2)) for i in (1, 2))
    assert one.fingerprint == other.fingerprint
    assert one.mask == other.mask
    assert one.mask.density == pytest.approx(0.2, abs=0.001)


def test_a_restart_builds_the_same_learner() -> None:
    """Also where its model has parts of its own, neither frozen nor masked, that torch draws."""
    settings = Settings(**BASE, threads=2, model=f"{__name__}:with_biases")
    one = build.build_learner(settings)
    torch.rand(3)
    other = build.build_learner(settings)
    left, right = one.state(), other.state()
    assert all(np.array_equal(left[name], right[name]) for name in left)


def test_building_a_learner_leaves_torchs_threads_and_random_numbers_alone() -> None:
    threads, drawn = torch.get_num_threads(), torch.random.get_rng_state()
    build.build_learner(Settings(**BASE, threads=threads + 1, model=f"{__name__}:with_biases"))
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), drawn)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"data": "digts"}, DataError),
        ({"class_count": 3}, DataError),
        ({"model": "mpl"}, ModelError),
        ({"model": "cnn"}, ModelError),
        ({"split": "classes:99", "share": "1/2"}, SettingsError),
        ({"split": "odd"}, SettingsError),
        ({"classes": (11,)}, SettingsError),
        ({"layer_keep_ratios": {"nothing": 0.1}}, SettingsError),
    ],
)
def test_what_cannot_be_built_is_refused(fields: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        build.build_learner(Settings(**BASE, **fields))
