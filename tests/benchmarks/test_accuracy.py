"""The learning benchmark: honest splits, right graphs and bit counts, and every method runs and reports."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.accuracy import cases, methods, tuning
from benchmarks.accuracy.__main__ import main
from benchmarks.accuracy.cases import Case, World, build_world
from benchmarks.accuracy.curves import first_at, mean_curve
from benchmarks.accuracy.masks import MaskGossip, learners_of, learning_options
from benchmarks.accuracy.methods import RECIPES
from benchmarks.accuracy.plots import draw_all
from benchmarks.accuracy.results import ResultsFile, table
from benchmarks.accuracy.run import Job, Record, run
from dslnode.config.presets import PRESETS
from dslnode.data.dataset import Examples
from dslnode.inference.model_file import pack, unpack
from dslnode.inference.predictor import Predictor
from dslnode.learning.frozen_network import shared_layout
from dslnode.learning.model_description import describe_model, personal_model
from dslnode.learning.options import DEFAULT_INITIALIZATION
from dslnode.learning.tasks.classification import class_prior
from dslnode.protocol.events import NeighbourMasks
from dslnode.protocol.mask import MaskLayer, MaskLayout
from dslnode.simulation.methods.dispfl import DENSITY, layer_counts
from dslnode.simulation.methods.network import tensors
from dslnode.simulation.methods.recipes import SGD, Options

DIGITS = Case("digits", "classes:4", 60, nodes=4, graph="complete", data="digits")
CONTRACT = {
    "case", "method", "form", "seed_count", "accuracy", "worst_node", "payload_bits", "raw_bits", "nominal_bits",
    "local_steps",
}  # fmt: skip
ALONE = {"masks_alone", "dense_alone"}


def digits_job(method: str, options: Options | None = None) -> Job:
    steps = {"authors": 2}.get(method, 20)  # two rounds
    chosen = RECIPES[method].options if options is None else options
    return Job("digits", method, "mlp", 1, steps, chosen, curve_points=2)


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(DIGITS, "mlp", 1)


@pytest.fixture(scope="module")
def records() -> dict[str, Record]:
    return {method: run(digits_job(method), case=DIGITS) for method in RECIPES}


def rows_of(examples: Examples) -> set[bytes]:
    return {image.tobytes() for image in examples.images}


def measured_and_exported(world: World, options: Options) -> list[bool]:
    """Return of each node whether the benchmark's accuracy is that of the node's export, and of the file by numpy."""
    method = MaskGossip(world, options)
    for number in range(3):
        method.round(number)
    found = []
    for node, weights in enumerate(method.personal(last=True)["aggregated"]):
        learner, test = method.learners[node], world.nodes[node].test
        with torch.no_grad():
            exported = learner.export()(tensors(test)[0]).argmax(dim=1).numpy()
        file = unpack(pack(personal_model(learner, describe_model(learner, model="mlp"))))
        in_numpy = Predictor(file).predict(test.stored).classes
        assert in_numpy is not None
        right = [int(np.count_nonzero(answers == test.labels)) / len(test) for answers in (exported, in_numpy)]
        found.append(right == [method.network.accuracy(weights, node, test)] * 2)
    return found


class TestSplit:
    def test_nobody_trains_on_validation_or_test_images(self, world: World) -> None:
        trained = [rows_of(data.train.train) for data in world.nodes]
        for data in world.nodes:
            validated, tested = rows_of(data.validation), rows_of(data.test)
            assert validated
            assert not validated & tested
            assert not any(rows & (validated | tested) for rows in trained)

    def test_the_nodes_share_no_training_image(self, world: World) -> None:
        trained = [rows_of(data.train.train) for data in world.nodes]
        assert len(set.union(*trained)) == sum(map(len, trained))

    def test_everything_a_node_sees_is_of_its_own_classes(self, world: World) -> None:
        for data in world.nodes:
            assert len(data.classes) == 4
            assert data.train.held_out is None
            assert set(data.validation.labels) <= set(data.test.labels) == set(data.classes)

    def test_the_held_out_images_are_the_same_for_all_seeds(self) -> None:
        whole = replace(DIGITS, split="classes:10", nodes=1)
        first, second = (build_world(whole, "mlp", seed).nodes[0] for seed in (1, 2))
        assert np.array_equal(first.test.images, second.test.images)
        assert np.array_equal(first.validation.images, second.validation.images)
        assert not np.array_equal(first.train.train.images, second.train.train.images)

    def test_fewer_test_images_keep_the_mix(self, world: World) -> None:
        few = build_world(DIGITS, "mlp", 1, test_per_class=10)
        for thin, full in zip(few.nodes, world.nodes, strict=True):
            counts = np.bincount(thin.test.labels, minlength=10)
            assert counts.max() <= 10
            assert (counts > 0).sum() == 4
            assert rows_of(thin.test) <= rows_of(full.test)

    def test_missing_data_are_named(self) -> None:
        complaint = cases.missing_data(replace(DIGITS, data="idx:/nowhere/at/all"))
        assert complaint is not None
        assert "/nowhere/at/all" in complaint
        assert cases.missing_data(DIGITS) is None


class TestMethods:
    def test_the_names_are_those_of_the_issue(self) -> None:
        assert set(RECIPES) == {
            "ours", "ours_binary", "ours_graded", "masks_alone", "authors", "dense_alone", "dpsgd", "dpsgd_finetuned",
            "dispfl", "fedpm",
        }  # fmt: skip

    @pytest.mark.parametrize("method", list(RECIPES))
    def test_two_rounds_report_every_column(self, method: str, records: dict[str, Record]) -> None:
        record = records[method]
        assert record["rounds"] == 2
        assert len(record["nodes"]) == DIGITS.nodes
        assert all(0 <= value <= 100 for value in record["nodes"])
        (row,) = table([record])
        assert row.keys() >= CONTRACT
        assert (row["payload_bits"] == 0) == (method in ALONE)
        assert row["payload_bits"] <= row["raw_bits"]

    def test_a_run_repeats_to_the_bit(self, records: dict[str, Record]) -> None:
        for method in ("ours", "fedpm"):
            assert run(digits_job(method), case=DIGITS)["nodes"] == records[method]["nodes"]

    def test_costs_are_those_of_the_messages(self, records: dict[str, Record]) -> None:
        layout = MaskLayout((MaskLayer("hidden", (256, 64)), MaskLayer("last", (10, 256))))
        messages = 2 * 4 * 3  # rounds, nodes, neighbours
        assert records["dpsgd"]["payload_bits"] == 32 * layout.size * messages
        scores = shared_layout(layout, DEFAULT_INITIALIZATION.weights_per_score).size
        assert records["ours"]["raw_bits"] == (scores + 2 * 32) * messages, "signs, and a scale a layer"
        assert records["authors"]["raw_bits"] == layout.size * messages
        assert records["authors"]["nominal_bits"] < records["authors"]["raw_bits"]
        kept = sum(layer_counts(layout, DENSITY))
        assert records["dispfl"]["nominal_bits"] == 32 * kept * messages

    def test_a_baseline_can_exchange_as_seldom_as_ours(self, records: dict[str, Record]) -> None:
        job = digits_job("dpsgd")
        seldom = run(replace(job, options={**job.options, "local_steps": job.steps}), case=DIGITS)
        assert records["dpsgd"]["rounds"] == 2
        assert seldom["rounds"] == 1
        assert seldom["local_steps"] == records["dpsgd"]["local_steps"]
        assert seldom["payload_bits"] == records["dpsgd"]["payload_bits"] / 2

    def test_masks_without_neighbours_are_a_network_of_islands(self, world: World) -> None:
        alone, linked = (MaskGossip(world, {}, linked=linked) for linked in (False, True))
        for number in range(2):
            alone.round(number)
            linked.round(number)
        assert alone.traffic.sent.raw == 0 < linked.traffic.sent.payload
        assert not torch.equal(alone.personal(last=True)["aggregated"][0], linked.personal(last=True)["aggregated"][0])

    def test_lockstep_is_train_all_then_aggregate_all(self, world: World) -> None:
        keep = {"exchange": "keep"}
        method = MaskGossip(world, keep)
        learners = learners_of(world, keep)
        for number in range(2):
            method.round(number)
            for learner in learners:
                learner.train_round(number, lambda: False)
            masks = [learner.mask for learner in learners]
            for node, learner in enumerate(learners):
                learner.aggregate([NeighbourMasks(str(peer), masks[peer], (), 0) for peer in world.neighbours[node]])
        expected = [learner.network.weights * learner.form.factors for learner in learners]
        assert all(map(torch.equal, method.personal(last=True)["aggregated"], expected))

    def test_measuring_the_authors_form_on_the_way_changes_nothing(self, world: World) -> None:
        plain, watched = (MaskGossip(world, PRESETS["authors"]) for _ in range(2))
        for number in range(3):
            plain.round(number)
            watched.round(number)
            watched.personal(last=False)
        assert all(map(torch.equal, plain.personal(last=True)["local"], watched.personal(last=True)["local"]))
        assert plain.traffic.sent == watched.traffic.sent

    def test_the_authors_mask_under_the_newest_mean_is_another_one(self, world: World) -> None:
        method = MaskGossip(world, PRESETS["authors"])
        method.round(0)
        found = method.personal(last=True)
        assert not torch.equal(found["local"][0], found["aggregated"][0])

    def test_mixed_keep_ratios_are_dealt_in_turn(self) -> None:
        mixed = build_world(replace(DIGITS, keep_ratios=(0.1, 0.7)), "mlp", 1)
        method = MaskGossip(mixed, {})
        method.round(0)
        kept = [float((model != 0).float().mean()) for model in method.personal(last=True)["aggregated"]]
        assert kept == pytest.approx([0.1, 0.7, 0.1, 0.7], abs=0.01)

    def test_the_accuracy_of_a_node_is_that_of_what_it_exports_where_classes_are_uneven(self) -> None:
        uneven = build_world(replace(DIGITS, split="dirichlet:0.3"), "mlp", 1)
        assert any(class_prior(data.train.train.labels, 10) is not None for data in uneven.nodes)
        assert measured_and_exported(uneven, {}) == [True] * DIGITS.nodes
        assert not all(measured_and_exported(uneven, {"uneven_classes": "alike"})), "answers without the prior"

    def test_a_changed_default_is_another_result(self) -> None:
        assert learning_options({"alpha": 3.0}) != learning_options({})
        assert learning_options({}) == learning_options({"listen": "127.0.0.1:1"})


class TestResults:
    def test_a_finished_run_is_found_again_even_after_a_torn_line(
        self, tmp_path: Path, records: dict[str, Record]
    ) -> None:
        path = tmp_path / "some" / "results.jsonl"
        ResultsFile(path).add(records["ours"])
        with path.open("a") as file:
            file.write('{"case": "dig')
        ResultsFile(path).add(records["dpsgd"])
        again = ResultsFile(path)
        assert again.find(digits_job("ours")) == json.loads(json.dumps(records["ours"]))
        assert again.find(digits_job("dpsgd")) is not None
        assert again.find(digits_job("fedpm")) is None
        assert again.find(replace(digits_job("ours"), seed=2)) is None
        assert again.find(digits_job("dpsgd", {**RECIPES["dpsgd"].options, "rate": 0.5})) is None

    def test_the_table_averages_over_seeds(self, records: dict[str, Record]) -> None:
        one = {**records["ours"], "nodes": [50.0, 70.0]}
        two = {**records["ours"], "seed": 2, "nodes": [80.0, 90.0]}
        (row,) = table([one, two])
        assert (row["seed_count"], row["accuracy"], row["worst_node"]) == (2, 72.5, 65.0)

    def test_a_row_says_when_and_with_which_commits_its_runs_were_measured(self, records: dict[str, Record]) -> None:
        old = {**records["ours"], "measured_on": "2026-11-29", "commit": "b"}
        new = {**records["ours"], "seed": 2, "measured_on": "2026-11-30", "commit": "a"}
        (row,) = table([new, old])
        assert (row["measured_on"], row["commit"]) == ("2026-11-30", "a, b")
        (unknown,) = table([records["ours"]])
        assert not unknown.keys() & {"measured_on", "commit"}

    def test_curves_average_point_by_point(self) -> None:
        curves: list[list[Record]] = [
            [{"x": 1, "y": 2.0}, {"x": 2, "y": None}],
            [{"x": 3, "y": 4.0}, {"x": 4, "y": None}],
        ]
        assert mean_curve(curves, "x", "y") == [(2.0, 3.0)]

    def test_what_it_took_to_match_ours_is_read_off_the_curves(self, records: dict[str, Record]) -> None:
        def record(method: str, *points: tuple[int, float]) -> Record:
            curve = [{"payload_bits": bits, "accuracy": accuracy} for bits, accuracy in points]
            return {**records[method], "curve": curve, "payload_bits": points[-1][0]}

        ours = record("ours", (10, 70.0), (20, 80.0))
        dpsgd, fedpm = record("dpsgd", (100, 79.0), (300, 80.0), (500, 90.0)), record("fedpm", (100, 79.0))
        alone = record("masks_alone", (0, 85.0))
        found = [row["bits_to_match_ours"] for row in table([ours, dpsgd, fedpm, alone])]
        assert found == [1, 15, None, None]
        assert table([dpsgd])[0]["bits_to_match_ours"] is None
        assert first_at([(1, 2.0), (3, 4.0)], 3.0) == 3

    def test_pictures_are_drawn_for_every_case(self, tmp_path: Path, records: dict[str, Record]) -> None:
        pytest.importorskip("matplotlib")
        files = draw_all(list(records.values()), tmp_path)
        assert files
        assert all(file.read_text().lstrip().startswith("<?xml") for file in files)


class TestCommand:
    @pytest.mark.process  # git says which commit measures
    def test_it_runs_once_writes_the_contract_and_resumes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(cases.CASES, "digits", DIGITS)
        places = {name: tmp_path / name for name in ("results", "json", "plots")}
        arguments = [part for name, place in places.items() for part in (f"--{name}", str(place))]
        arguments += ["--cases", "digits", "--methods", "dense_alone,dpsgd", "--model", "mlp"]
        arguments += ["--steps", "60", "--processes", "1", "--seeds", "1"]
        monkeypatch.setattr("sys.argv", ["accuracy", *arguments])
        main()
        assert "0 of 2 runs are done already" in capsys.readouterr().out
        rows = json.loads(places["json"].read_text())["rows"]
        assert [row["method"] for row in rows] == ["dense_alone", "dpsgd"]
        assert all(row.keys() >= CONTRACT | {"measured_on"} for row in rows)
        assert list(places["plots"].glob("*.svg"))
        main()
        assert "2 of 2 runs are done already" in capsys.readouterr().out
        assert json.loads(places["json"].read_text())["rows"] == rows

    @pytest.mark.process  # as above
    def test_any_data_of_the_daemons_can_take_the_place_of_fashion_mnist(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = ["--cases", "ring-15-each", "--methods", "dense_alone", "--model", "mlp", "--seeds", "1"]
        arguments += ["--steps", "10", "--processes", "1", "--results", str(tmp_path / "results")]
        monkeypatch.setattr("sys.argv", ["accuracy", *arguments, "--data", "digits"])
        main()
        monkeypatch.setattr("sys.argv", ["accuracy", *arguments, "--data", "idx:/nowhere"])
        with pytest.raises(SystemExit, match="nothing was measured"):
            main()
        said = capsys.readouterr()
        assert "ring-15-each mlp dense_alone seed 1" in said.out
        assert "/nowhere" in said.err, "and no stored result of other data is taken for these"

    def test_unknown_names_are_refused(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("sys.argv", ["accuracy", "--methods", "magic"])
        with pytest.raises(SystemExit):
            main()
        assert "magic is none of ours" in capsys.readouterr().err

    def test_what_was_tuned_for_one_schedule_is_not_taken_for_another(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("sys.argv", ["accuracy", "--tune", "--baseline-round", "30"])
        with pytest.raises(SystemExit):
            main()
        assert "not for --baseline-round" in capsys.readouterr().err


class TestTuning:
    def test_it_takes_the_best_on_validation_stage_by_stage(self) -> None:
        def measure(job: Job) -> float:
            return float(-abs(math.log10(job.options["rate"]) + 1) - job.options["own_classes"])

        best, trials = tuning.tune(digits_job("dense_alone"), measure)
        assert best == {**SGD, "rate": 0.1, "own_classes": False, "cosine": True}  # the first among equals
        assert len(trials) == 7  # three rates with two schedules, then the one change not tried yet

    def test_a_choice_by_fewer_steps_replaces_none_by_more(self) -> None:
        job = Job("4-classes-437", "dpsgd", "mlp", 1, 390, SGD)
        assert methods.tuned_table()["mlp/4-classes-437"]["dpsgd"]["steps"] == 390
        assert not tuning.is_due(job)
        assert not tuning.is_due(replace(job, steps=120))
        assert tuning.is_due(replace(job, steps=800))
        assert not tuning.is_due(replace(job, method="ours", steps=800)), "ours runs on the daemon's defaults"

    def test_a_choice_counts_for_the_data_it_was_made_on(self) -> None:
        tuned = methods.chosen_options("dispfl", "4-classes-15-each", "mlp")
        assert tuned["rate"] != RECIPES["dispfl"].options["rate"]
        assert methods.chosen_options("dispfl", "4-classes-15-each", "mlp", "digits") == RECIPES["dispfl"].options
        assert tuning.is_due(Job("4-classes-15-each", "dispfl", "mlp", 1, 390, SGD, data="cifar10:/somewhere"))

    @pytest.mark.parametrize(("case", "rate"), [("5-classes-437", 0.4), ("ring-15-each", 0.1), ("3-classes-437", 0.3)])
    def test_a_case_that_was_not_tuned_borrows_from_one_of_its_size(
        self, monkeypatch: pytest.MonkeyPatch, case: str, rate: float
    ) -> None:
        rates = {"4-classes-15-each": 0.1, "4-classes-437": 0.4, "3-classes-437": 0.3}
        table = {f"mlp/{name}": {"dpsgd": {"options": {"rate": tuned}}} for name, tuned in rates.items()}
        monkeypatch.setattr(methods, "tuned_table", lambda: table)
        assert methods.chosen_options("dpsgd", case, "mlp")["rate"] == rate

    def test_no_test_image_is_looked_at(self) -> None:
        record = run(digits_job("dense_alone"), test=False, case=DIGITS)
        assert "nodes" not in record
        assert 0 < record["validation"] <= 100

    def test_ours_is_never_tuned_to_a_case(self) -> None:
        for case in cases.CASES:
            assert methods.chosen_options("ours", case, "cnn") == {}
