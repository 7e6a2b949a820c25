"""The personal models that are measured, what torch answers, and their files in each format."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save

from benchmarks.daemons import FASHION_MNIST
from benchmarks.inference.c_driver import DRIVER
from dslnode.data.dataset import DataSet, Examples, load_data_set
from dslnode.data.partition import partition
from dslnode.inference.c_source import c_source
from dslnode.inference.model_file import pack
from dslnode.inference.onnx_model import onnx_model
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.inference.torch_model import torch_program
from dslnode.learning.learner import Learner
from dslnode.learning.model_description import describe_model, personal_model

SEED = 3
SAMPLES_PER_CLASS = 100
SERIES, STEPS, FEATURES = 2_400, 24, 6
Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class Trained:
    """A personal model, held-out rows as they were measured, and the learner's own answers (n, outputs) to them."""

    name: str
    model: PersonalModelFile
    rows: Array
    expected: Array


def trained(name: str, rounds: int) -> Trained:
    """Return a model after some rounds alone."""
    data = series() if name == "gru" else images()
    learner = Learner(name, data, seed=SEED)
    for _ in range(rounds):
        learner.train_round()
        learner.aggregate([])
    assert data.held_out is not None
    with torch.no_grad():
        expected = learner.export()(torch.from_numpy(data.held_out.images)).numpy()
    model = personal_model(learner, describe_model(learner, model=name), best=False)
    return Trained(name=name, model=model, rows=data.held_out.stored.astype(np.float32), expected=expected)


def images() -> DataSet:
    """Return Fashion-MNIST, of which a node trains on some."""
    return partition(load_data_set(f"idx:{FASHION_MNIST}"), samples_per_class=SAMPLES_PER_CLASS, seed=SEED)


def series() -> DataSet:
    """Return series of which the first half tells by its trend, in noise, to which of three classes they belong."""
    draws = np.random.default_rng(SEED)
    labels = draws.integers(0, 3, SERIES)
    trend = np.linspace(0, 1, STEPS)[:, np.newaxis] * (labels - 1)[:, np.newaxis, np.newaxis]
    inputs = (draws.normal(size=(SERIES, STEPS, FEATURES)) + trend).astype(np.float32)
    part = Examples(inputs, labels.astype(np.int64))
    train, held_out = part.take(np.arange(SERIES // 3)), part.take(np.arange(SERIES // 3, SERIES))
    return DataSet(train, held_out, 3, "series")


FAST = ("-O3", "-march=native", "-DDSLNODE_FAST")


def write_files(trained_model: Trained, directory: Path) -> dict[str, Path]:
    """Write the model in every format; return the files by format. Those of C are programs."""
    model, rows = trained_model.model, trained_model.rows[:64]
    writers: dict[str, Callable[[], bytes]] = {
        "dslm": lambda: pack(model),
        "safetensors": lambda: save(model.weights()),
        "onnx": lambda: onnx_model(model, rows)[0],
        "onnx-int8": lambda: onnx_model(model, rows, int8=True)[0],
        "torch": lambda: torch_program(model, rows)[0],
    }
    files = {name: directory / f"model.{name}" for name in writers}
    for name, write in writers.items():
        files[name].write_bytes(write())
    for name, text in {**c_source(model, rows[:10]), "driver.c": DRIVER}.items():
        (directory / name).write_text(text)
    return files | {"c": _compiled(directory, "-O2"), "c-fast": _compiled(directory, *FAST)}


def _compiled(directory: Path, *options: str) -> Path:
    program = directory / f"model{''.join(options)}"
    line = ["gcc", "-std=gnu99", *options, "model.c", "driver.c", "-lm", "-o", program.name]
    subprocess.run(line, cwd=directory, check=True)
    return program


def file_bytes(format_name: str, file: Path) -> int:
    """Return the bytes of a format; of C, those of constants and code of the model alone, compiled with -O2."""
    if not format_name.startswith("c"):
        return file.stat().st_size
    directory = file.parent
    subprocess.run(["gcc", "-std=c99", "-O2", "-c", "model.c", "-o", "model.o"], cwd=directory, check=True)
    sizes = subprocess.run(["size", "model.o"], cwd=directory, check=True, capture_output=True, text=True).stdout
    text, data, *_ = sizes.splitlines()[1].split()
    return int(text) + int(data)
