"""Other methods on the same boards, lines and data: what they learn, send and take."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dslnode.config.settings import Settings
from dslnode.data.readers.idx_cifar import CIFAR_RECORD_BYTES, CIFAR_TEST_FILE, CIFAR_TRAIN_FILES
from dslnode.errors import SettingsError
from dslnode.simulation.method_simulation import MethodSimulation, reference_simulation
from dslnode.simulation.methods.recipes import METHODS
from dslnode.simulation.records import RoundRecord, summaries
from dslnode.simulation.simulation import (
    AUTHORS,
    MASK_METHODS,
    MASKS_ALONE,
    Simulation,
    SimulationOptions,
    prepare_simulation,
)
from tests.simulation.networks import finished

OPTIONS = SimulationOptions(nodes=4, topology="complete", link="1Mbit/s,10ms")
ROUNDS = 4


def simulated(method: str, options: SimulationOptions = OPTIONS, **given: Any) -> MethodSimulation:
    chosen = {"rounds": ROUNDS, "local_steps": 10, "evaluate_every": 1, "split": "classes:4", "model": "mlp", **given}
    return MethodSimulation(prepare_simulation(options, Settings(name="simulated", **chosen)), method)


def run(simulation: MethodSimulation) -> list[RoundRecord]:
    assert list(simulation.build()) == [4]
    list(simulation.run())
    return simulation.records


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_learns_sends_and_takes_its_time(method: str) -> None:
    simulation = simulated(method)
    records = run(simulation)
    assert [(record.round, record.node) for record in records] == [
        (number, node) for number in range(1, ROUNDS + 1) for node in range(4)
    ]
    last = summaries(records)[-1]
    assert last.mean_score is not None
    assert last.mean_score > 0.6
    assert (last.mean_payload_bits == 0) == (method == "dense_alone")
    if method.startswith("dpsgd"):
        assert last.mean_payload_bits == ROUNDS * 3 * 32 * simulation.weights
        assert last.mean_wire_bytes > last.mean_payload_bits / 8
        assert last.median_seconds > last.mean_wire_bytes * 8 / 1e6 + ROUNDS * 10 * 0.01


def test_a_run_follows_from_its_seed() -> None:
    lossy = replace(OPTIONS, link="1Mbit/s,10ms,5%", speed_sigma=0.5)

    def values(**given: Any) -> list[tuple[object, ...]]:
        records = run(simulated("fedpm", lossy, **given))
        return [(record.seconds, record.score, record.payload_bits, record.wire_bytes) for record in records]

    assert values() == values() != values(seed=2)


def test_it_ends_once_the_score_is_reached() -> None:
    assert max(record.round for record in run(simulated("dpsgd", replace(OPTIONS, until_score=0.5)))) < ROUNDS


def test_a_rate_of_the_users_own_is_taken() -> None:
    given = simulated("dense_alone")
    frozen = MethodSimulation(given.prepared, "dense_alone", rate=1e-9)
    scores = [record.score for record in run(frozen)]
    assert scores[:4] == scores[-4:], "with next to no steps nothing changes"


def test_scores_are_measured_as_often_as_asked_for_and_at_the_end() -> None:
    records = run(simulated("dpsgd", evaluate_every=3))
    assert [record.round for record in records if record.score is not None and record.node == 0] == [3, 4]
    assert all(math.isnan(record.loss) for record in records)


@pytest.mark.parametrize(
    ("method", "options", "given", "message"),
    [
        ("sgd", {}, {}, "is unknown; known are ours, masks_alone, authors, dense_alone"),
        ("dpsgd", {"churn": 0.1}, {}, "--churn, --hostile and --data-cap"),
        ("dpsgd", {"hostile": "0.5:random"}, {}, "--churn, --hostile and --data-cap"),
        ("dpsgd", {}, {"data_cap": "100MB/day"}, "--churn, --hostile and --data-cap"),
    ],
)
def test_what_a_method_has_no_form_of_is_refused(
    method: str, options: dict[str, Any], given: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        simulated(method, replace(OPTIONS, **options), **given)


def test_masks_alone_are_ours_without_neighbours() -> None:
    alone, together = finished(method=MASKS_ALONE), finished()
    assert alone.records[-1].payload_bits == 0 < together.records[-1].payload_bits


def test_the_authors_form_takes_as_many_local_steps() -> None:
    prepared = prepare_simulation(
        replace(OPTIONS, method=AUTHORS), Settings(name="simulated", rounds=4, local_steps=10)
    )
    settings = prepared.settings
    assert (settings.rounds, settings.local_steps, settings.personal) == (40, 1, "binary")


@pytest.mark.parametrize("method", ["ours", "authors", "dense_alone", "dpsgd"])
def test_the_recipe_for_cifar10_runs_on_files_of_its_shape(method: str, tmp_path: Path) -> None:
    draws = np.random.Generator(np.random.PCG64(1))
    for name in (*CIFAR_TRAIN_FILES, CIFAR_TEST_FILE):
        records = draws.integers(0, 256, (40, CIFAR_RECORD_BYTES), dtype=np.uint8)
        records[:, 0] = np.arange(40) % 10
        (tmp_path / name).write_bytes(records.tobytes())
    settings = Settings(
        name="simulated", data=f"cifar10:{tmp_path}", model="alexnet", split="classes:4", samples_per_class=4, rounds=1,
        local_steps=1,
    )  # fmt: skip
    prepared = prepare_simulation(replace(OPTIONS, parts=4, method=method), settings)
    simulation = Simulation(prepared) if method in MASK_METHODS else MethodSimulation(prepared, method)
    assert list(simulation.build())[-1] == 4
    list(simulation.run())
    assert simulation.weights == 1_227_328, "the authors' network"
    assert [len(np.unique(part.train.labels)) for part in prepared.parts] == [4] * 4
    assert all(record.score is not None for record in simulation.records)


def test_a_reference_is_another_method_on_the_same_plan() -> None:
    prepared = simulated("dpsgd").prepared
    assert reference_simulation(prepared, "dpsgd", beside="ours").prepared is prepared
    with pytest.raises(SettingsError, match="--reference dpsgd: is the --method itself"):
        reference_simulation(prepared, "dpsgd", beside="dpsgd")
    with pytest.raises(SettingsError, match="--reference authors: is unknown; known are dense_alone, dpsgd"):
        reference_simulation(prepared, "authors", beside="ours")


@pytest.mark.parametrize("given", [{"churn": 0.1}, {"hostile": "0.5:loud"}])
def test_a_reference_has_no_meaning_where_the_method_has_none(given: dict[str, Any]) -> None:
    prepared = simulated("dpsgd").prepared
    options = replace(OPTIONS, **given)
    other = prepare_simulation(options, prepared.settings)
    with pytest.raises(SettingsError, match="--reference dpsgd: --churn, --hostile and --data-cap are for ours only"):
        reference_simulation(other, "dpsgd", beside="ours")
