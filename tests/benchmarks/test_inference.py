"""The benchmark of models at work: every runtime answers by its protocol."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.inference import worker
from benchmarks.inference.models import series
from dslnode.inference.model_file import pack
from dslnode.inference.predictor import Predictor
from tests.inference.test_model_file import example


def test_a_worker_times_its_answers_and_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.random.default_rng(1).normal(size=(300, 30)).astype(np.float32)
    (tmp_path / "model").write_bytes(pack(example()))
    rows.tofile(tmp_path / "rows")
    files = [str(tmp_path / name) for name in ("model", "rows")]
    monkeypatch.setattr(sys, "argv", ["worker", "numpy", *files, "30", str(tmp_path / "outputs"), "0"])
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\nmany\npeak\nall\n"))
    worker.main()
    first, one, many, peak, done = map(float, capsys.readouterr().out.split())
    assert 0 < one < many < first
    assert peak > 10
    assert done == 0
    found = np.fromfile(tmp_path / "outputs", np.float32).reshape(300, 3)
    np.testing.assert_allclose(found, Predictor(example()).outputs(rows), rtol=1e-5, atol=1e-5)


def test_series_tell_their_class_by_their_trend() -> None:
    data = series()
    assert data.held_out is not None
    rises = data.held_out.stored[:, 12:].mean(axis=(1, 2)) - data.held_out.stored[:, :12].mean(axis=(1, 2))
    means = [rises[data.held_out.labels == label].mean() for label in range(3)]
    assert means == sorted(means)
