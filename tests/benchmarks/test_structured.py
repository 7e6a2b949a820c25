"""What the benchmark of structured sparsity makes of its runs, without running any."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks import structured
from benchmarks.finished_runs import FinishedRuns
from benchmarks.report import Row
from benchmarks.structured import Run, Subject, result_of

RUN = Run("mlp", 0.3, 0.001, seed=1, rounds=2, nodes=5, test_per_class=None)
FIGURES: Row = {"validation": 90.0, "accuracy": 89.0, "weights": 20.0, "dense_1_ms": 1.0, "dense_32_ms": 8.0}


def test_a_finished_run_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Run] = []

    def measured(run: Run) -> Row:
        runs.append(run)
        return dict(FIGURES)

    monkeypatch.setattr(structured, "_measured", measured)
    file = tmp_path / "new" / "runs.jsonl"
    for _ in range(2):
        assert result_of(RUN, FinishedRuns(file)) == FIGURES
    assert runs == [RUN]
    assert [json.loads(line)["run"] for line in file.read_text(encoding="utf-8").splitlines()] == [asdict(RUN)]


def test_rows_are_means_over_seeds_by_keep_ratio_and_strength(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(run: Run) -> Row:
        return {**FIGURES, "accuracy": 80.0 + run.seed, "outputs": [10.0 * run.seed, 4.0]}

    monkeypatch.setattr(structured, "_measured", measured)
    subject = Subject((0.1, 0.5), (0.0, 0.01), (1, 2), 3)
    rows = list(structured._rows("mlp", subject, FinishedRuns(tmp_path / "runs.jsonl")))
    assert [(row["keep_ratio"], row["group_lasso"]) for row in rows] == [
        (0.1, 0.0),
        (0.1, 0.01),
        (0.5, 0.0),
        (0.5, 0.01),
    ]
    assert {(row["accuracy"], row["channels"], row["seeds"]) for row in rows} == {(81.5, "15 / 4", 2)}


def test_the_strongest_lasso_that_validation_allows_is_chosen() -> None:
    found = [(0.0, 90.0, 89.0), (0.001, 89.2, 88.5), (0.003, 88.9, 88.8)]
    rows = [
        {
            **FIGURES,
            "model": "mlp",
            "keep_ratio": 0.3,
            "group_lasso": strength,
            "validation": held_out,
            "accuracy": test,
        }
        for strength, held_out, test in found
    ]
    summary = dict(structured._summary(rows))
    assert summary["mlp_0.3_chosen_group_lasso"] == 0.001
    assert summary["mlp_0.3_accuracy_change"] == -0.5


def test_sizes_count_what_is_stored_kept_and_multiplied() -> None:
    model = nn.Sequential(nn.Linear(6, 4, bias=False), nn.ReLU(), nn.Linear(4, 3, bias=False))
    with torch.no_grad():
        model.get_parameter("0.weight")[:, :3] = 0
    assert structured._hidden_outputs(model) == [4]
    assert (structured._weights(model), structured._kept_weights(model)) == (36, 24)
    assert structured._multiply_adds(model, torch.rand(1, 6)) == 36
