"""Personal models in each of their formats: bytes, start, memory, time per row, and whether they answer as torch does.

Every runtime has a process and one thread of its own; they take turns. Goals: no prediction differs that is no tie;
numpy takes at most 40 MiB, and 3 times torch's time for one row; C at most twice onnxruntime's with int8; the file at
most 1/32 of float32 from 100,000 weights.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.inference.models import Trained, file_bytes, trained, write_files
from benchmarks.report import Column, Report, Row, arguments, median_ratio, publish
from dslnode.inference.export_check import ties

RUNTIMES = {
    ("dslm", "numpy"): "dslm",
    ("dslm", "torch"): "dslm",
    ("torch", "torch.export"): "torch",
    ("onnx", "onnxruntime"): "onnx",
    ("onnx-int8", "onnxruntime"): "onnx-int8",
    ("c", "gcc -O2"): "c",
    ("c", "gcc -O3, fast"): "c-fast",
}
"""By format and runtime, the file that is run."""
MODELS = ("mlp", "cnn", "gru")
MEMORY_GOAL, NUMPY_GOAL, C_GOAL, SIZE_GOAL, LARGE = 40, 3, 2, 32, 100_000
COLUMNS = (
    Column("model", "model"),
    Column("format", "format"),
    Column("runtime", "runtime"),
    Column("bytes", "bytes", ","),
    Column("load_seconds", "first answer, s", ".2f"),
    Column("ms_one", "one row, ms", ".3f"),
    Column("ms_256", "256 rows, ms", ".2f"),
    Column("resident_mb", "peak, MiB", ".1f"),
    Column("difference", "largest difference", ".1e"),
    Column("different_predictions", "predictions that differ"),
    Column("ties", "of these ties"),
)


@dataclass
class Worker:
    """A process that answers with one runtime, and the seconds of its turns."""

    process: subprocess.Popen[str]
    outputs: Path
    load_seconds: float = 0.0
    one: list[float] = field(default_factory=list)
    many: list[float] = field(default_factory=list)

    def ask(self, word: str = "") -> float:
        """Return what the process answers to a word; to none, what it says first."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if word:
            print(word, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


def main() -> int:
    """Run the benchmark."""
    chosen = arguments(__doc__ or "")
    rows: list[Row] = []
    ratios: dict[str, list[float]] = {"numpy": [], "c": []}
    for name in MODELS:
        with tempfile.TemporaryDirectory() as directory:
            model = trained(name, 2 if chosen.quick else 12)
            rows += _measure(model, Path(directory), 9 if chosen.quick else 40, ratios)
    publish("Personal models at work", COLUMNS, Report(rows, _summary(rows, ratios)), chosen.json)
    return 0


def _measure(model: Trained, directory: Path, turns: int, ratios: dict[str, list[float]]) -> list[Row]:
    files = write_files(model, directory)
    model.rows.tofile(directory / "rows")
    workers = {key: _started(key[1], files[file], model, directory) for key, file in RUNTIMES.items()}
    for _ in range(turns):
        for worker in workers.values():
            worker.one.append(worker.ask("one"))
        for worker in workers.values():
            worker.many.append(worker.ask("many"))
    ratios["numpy"].append(median_ratio(workers["dslm", "numpy"].one, workers["dslm", "torch"].one))
    ratios["c"].append(median_ratio(workers["c", "gcc -O3, fast"].one, workers["onnx-int8", "onnxruntime"].one))
    rows: list[Row] = []
    for (form, runtime), worker in workers.items():
        about = {"model": model.name, "format": form, "runtime": runtime, "bytes": file_bytes(form, files[form])}
        rows.append({**about, **_figures(worker, model)})
        worker.process.communicate()
    weights: Row = {"model": model.name, "format": "safetensors", "runtime": "none"}
    return [*rows, weights | {"bytes": files["safetensors"].stat().st_size, "weights": int(model.model.mask.size)}]


def _started(runtime: str, file: Path, model: Trained, directory: Path) -> Worker:
    outputs, began = directory / f"outputs of {runtime} {file.name}", str(time.monotonic())
    if runtime.startswith("gcc"):
        line = [str(file), str(directory / "rows"), str(len(model.rows)), str(outputs), began]
    else:
        shape = "x".join(map(str, model.rows.shape[1:]))
        python = [sys.executable, "-m", "benchmarks.inference.worker", runtime]
        line = [*python, str(file), str(directory / "rows"), shape, str(outputs), began]
    alone = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **alone}
    )
    worker = Worker(process, outputs)
    worker.load_seconds = worker.ask()
    return worker


def _figures(worker: Worker, model: Trained) -> Row:
    peak = worker.ask("peak")
    worker.ask("all")
    found = np.fromfile(worker.outputs, np.float32).reshape(model.expected.shape)
    differs = found.argmax(axis=1) != model.expected.argmax(axis=1)
    return {
        "load_seconds": worker.load_seconds,
        "ms_one": 1000 * statistics.median(worker.one),
        "ms_256": 1000 * statistics.median(worker.many),
        "resident_mb": peak,
        "difference": float(np.abs(found - model.expected).max()),
        "different_predictions": int(differs.sum()),
        "ties": int((differs & ties(model.expected)).sum()),
    }


def _summary(rows: list[Row], ratios: dict[str, list[float]]) -> Row:
    ran = [row for row in rows if row["runtime"] != "none"]
    weights = {row["model"]: row["weights"] for row in rows if "weights" in row}
    large = [row for row in ran if row["format"] == "dslm" and weights[row["model"]] >= LARGE]
    found: Row = {
        "differing": sum(row["different_predictions"] - row["ties"] for row in ran),
        "numpy_mib": max(row["resident_mb"] for row in ran if row["runtime"] == "numpy"),
        "numpy_to_torch": max(ratios["numpy"]),
        "c_to_int8": max(ratios["c"]),
        "float32_to_dslm": min(4 * weights[row["model"]] / row["bytes"] for row in large),
    }
    found["goals_met"] = (
        not found["differing"]
        and found["numpy_mib"] <= MEMORY_GOAL
        and found["numpy_to_torch"] <= NUMPY_GOAL
        and found["c_to_int8"] <= C_GOAL
        and found["float32_to_dslm"] >= SIZE_GOAL
    )
    return found


if __name__ == "__main__":
    sys.exit(main())
