"""A model as C source answers as numpy does, compiled for this machine and for a microcontroller."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dslnode.data.schema import Column, ColumnKind, Schema
from dslnode.errors import ModelError
from dslnode.inference import operations as op
from dslnode.inference.c_source import c_source
from dslnode.inference.export_check import ties
from dslnode.inference.input_units import InputUnits
from dslnode.inference.levels import Levels
from dslnode.inference.model_header import InputScaling, Layer
from dslnode.inference.personal_model import PersonalModelFile
from dslnode.inference.predictor import Predictor
from dslnode.inference.rows import trial_rows
from tests.inference.learned import DATA, learned
from tests.inference.test_model_file import DESCRIPTION, described, example

WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-O2")
CORTEX_M = Path(__file__).parent / "cortex_m"
DRIVER = """
#include <stdio.h>
#include "model.h"
int main(void)
{
    static float in[DSLNODE_INPUTS], out[DSLNODE_OUTPUTS];
    while (fread(in, sizeof in, 1, stdin) == 1) {
        printf("%d\\n", dslnode_predict(in, out));
    }
    return 0;
}
"""

needs_compiler = pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
needs_board = pytest.mark.skipif(
    not (shutil.which("arm-none-eabi-gcc") and shutil.which("qemu-system-arm")),
    reason="there is no arm-none-eabi-gcc or qemu-system-arm (Debian: gcc-arm-none-eabi, libnewlib-arm-none-eabi)",
)


def written(model: PersonalModelFile, rows: np.ndarray, directory: Path) -> Path:
    for name, text in c_source(model, rows).items():
        (directory / name).write_text(text)
    return directory


FAST = ("-O3", "-DDSLNODE_FAST")


def compiled_and_run(
    directory: Path, source: str = "test.c", given: bytes = b"", options: tuple[str, ...] = WARNINGS
) -> str:
    subprocess.run(["gcc", *options, "model.c", source, "-lm", "-o", "model"], cwd=directory, check=True)
    done = subprocess.run([directory / "model"], input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode()
    return done.stdout.decode()


@needs_compiler
@pytest.mark.process
@pytest.mark.parametrize("name", DATA)
def test_every_held_out_row_gets_the_same_class(name: str, tmp_path: Path) -> None:
    model, rows = learned(name, DATA[name]())
    written(model, rows[:10], tmp_path)
    (tmp_path / "driver.c").write_text(DRIVER)
    expected, tied = Predictor(model).predict(rows).classes, ties(Predictor(model).outputs(rows))
    for options in (WARNINGS, (*WARNINGS, *FAST)):
        answers = compiled_and_run(tmp_path, "driver.c", rows.tobytes(), options)
        assert ((np.array(answers.split(), int) == expected) | tied).all()
    assert f"{name}: 10 of 10 rows as expected" in compiled_and_run(tmp_path)


def of_task(**changes: Any) -> PersonalModelFile:
    return replace(example(), description=described(**changes))


def of_operations(
    *operations: op.Operation, shape: tuple[int, ...], layer: Layer, outputs: int, **tensors: np.ndarray
) -> PersonalModelFile:
    description = described(
        layers=(layer,), input_shape=shape, outputs=outputs, operations=operations, task="regression", names=()
    )
    mask = (np.random.default_rng(2).random(description.mask_layout.size) < 0.5).astype(np.uint8)
    return replace(example(), description=description, mask=mask, tensors=tensors)


def with_levels(model: PersonalModelFile, highest: int) -> PersonalModelFile:
    """Return the model with a level from 1 to ``highest`` for each kept weight."""
    levels = 1 + np.arange(len(model.mask), dtype=np.uint8) % highest
    steps = tuple(0.3 + 0.1 * place for place in range(len(model.description.layers)))
    return replace(model, levels=Levels(model.mask * levels, steps))


AUTOENCODER = (*DESCRIPTION.operations[:3], op.Linear(weight="3.weight"))
CHANNELS = np.array([0.5, 2, 3, 1.5, 1, 2], np.float32)
MODELS = {
    "classes that never win": of_task(answers=(0, 2)),
    "numbers in their units": of_task(task="regression", centre=(100.0, 0, 0), scale=(10.0, 1, 2)),
    "several labels": of_task(task="multilabel"),
    "anomalies": replace(
        of_task(
            task="anomaly",
            outputs=30,
            operations=AUTOENCODER,
            layers=(DESCRIPTION.layers[0], Layer(name="3.weight", shape=(30, 40), scale=0.5)),
        ),
        mask=np.tile(np.array([1, 0, 0], np.uint8), 800),
        threshold=60.0,
    ),
    "names that are no C": of_task(names=('"*/', "é??/\n", "\\")),
    "a convolution with all, norm, pooling": of_operations(
        op.Convolution(weight="w", stride=(2, 1), padding=(1, 2), dilation=(2, 1), groups=2),
        op.Norm(mean="mean", variance="variance", epsilon=1e-5, gain="gain"),
        op.Pool(kind="max", kernel=(3, 3), stride=(2, 2), padding=(1, 1), partial=True),
        op.Pool(kind="mean", kernel=(2, 2), stride=(1, 1), padding=(1, 0)),
        op.GlobalMean(),
        op.Flatten(),
        shape=(4, 9, 7),
        layer=Layer(name="w", shape=(6, 2, 3, 2), scale=0.3),
        outputs=6,
        mean=CHANNELS - 1,
        variance=CHANNELS,
        gain=CHANNELS,
    ),
    "a forecast from the last values": of_operations(
        op.SubtractLast(columns=(0, 2)),
        op.Flatten(),
        op.Linear(weight="w"),
        op.AddInputs(places=(9, 11), gain="gain"),
        shape=(4, 3),
        layer=Layer(name="w", shape=(2, 12), scale=0.3),
        outputs=2,
        gain=CHANNELS[:2],
    ),
    "activations": of_operations(
        op.Linear(weight="w"),
        *(op.Activation(kind="elu", alpha=0.7), op.Activation(kind="leaky_relu", slope=0.2)),
        *(op.Activation(kind="gelu"), op.Activation(kind="silu"), op.Activation(kind="tanh")),
        *(op.Activation(kind="sigmoid"), op.Activation(kind="relu6"), op.Activation(kind="hardtanh")),
        op.Affine(gain="gain", shift="gain"),
        shape=(5,),
        layer=Layer(name="w", shape=(6, 5), scale=0.3),
        outputs=6,
        gain=CHANNELS,
    ),
}


MODELS |= {
    "seven levels": with_levels(MODELS["classes that never win"], 7),
    "127 levels in a convolution": with_levels(MODELS["a convolution with all, norm, pooling"], 127),
}


@needs_compiler
@pytest.mark.process
@pytest.mark.parametrize("name", MODELS)
def test_its_own_test_program_agrees(name: str, tmp_path: Path) -> None:
    model = MODELS[name]
    rows = np.random.default_rng(1).normal(size=(30, *model.description.input_shape)).astype(np.float32)
    assert "30 of 30 rows as expected" in compiled_and_run(written(model, rows, tmp_path))
    assert "30 of 30 rows as expected" in compiled_and_run(tmp_path, options=(*WARNINGS, *FAST))


@needs_compiler
@pytest.mark.process
def test_the_test_program_fails_for_a_wrong_model(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).normal(size=(10, 30)).astype(np.float32)
    written(example(), rows, tmp_path)
    (tmp_path / "model.c").write_text(c_source(example(seed=2), rows)["model.c"])
    with pytest.raises(AssertionError, match=r"expected|rows as expected"):
        compiled_and_run(tmp_path)


@needs_compiler
@pytest.mark.process
def test_a_table_comes_in_its_units(tmp_path: Path) -> None:
    columns = tuple(
        Column(name=f"c{place}", kind=ColumnKind.NUMBER, centre=100.0 + place, scale=20.0) for place in range(30)
    )
    model = of_task(data_schema=Schema(columns=columns))
    rows = np.random.default_rng(1).normal(size=(20, 30)).astype(np.float32)
    rows[0, :2] = 10, 0
    written(model, rows, tmp_path)
    assert "20 of 20 rows as expected" in compiled_and_run(tmp_path)
    (tmp_path / "driver.c").write_text(DRIVER)
    units = InputUnits(centre=np.arange(100, 130, dtype=np.float32), scale=np.full(30, 20, np.float32))
    raw = units.raw(rows)
    raw[0, :2] = 10_000, np.nan  # beyond what is let through, and missing
    expected = Predictor(model).predict(rows).classes
    assert expected is not None
    assert compiled_and_run(tmp_path, "driver.c", raw.tobytes()).split() == list(map(str, expected))


@needs_compiler
@pytest.mark.process
def test_an_array_comes_as_it_was_measured(tmp_path: Path) -> None:
    model = of_task(input_scaling=InputScaling(centre=(100.0,) * 30, scale=(20.0,) * 30))
    rows = trial_rows(model.description, None, 20)
    rows[0, 0] = 10_000
    assert "20 of 20 rows as expected" in compiled_and_run(written(model, rows, tmp_path))


@pytest.mark.parametrize(
    ("operation", "complaint"),
    [
        (op.LocalResponse(size=5, alpha=1e-4, beta=0.75, k=1), "the operation local_response is not written in C"),
        (op.Linear(weight="3.bias"), "does not fit"),
    ],
)
def test_what_cannot_be_written_is_named(operation: op.Operation, complaint: str) -> None:
    image = (op.Flatten(), operation) if isinstance(operation, op.Linear) else (operation, *DESCRIPTION.operations)
    model = of_task(operations=image, input_shape=(30, 1, 1))
    with pytest.raises(ModelError, match=complaint):
        c_source(model, np.zeros((1, 30, 1, 1), np.float32))


def test_a_mean_over_three_dimensions_is_named() -> None:
    model = of_task(operations=(op.GlobalMean(), *DESCRIPTION.operations), input_shape=(30, 2, 2, 2))
    with pytest.raises(ModelError, match="pooling over 3 dimensions is not written in C"):
        c_source(model, np.zeros((1, 30, 2, 2, 2), np.float32))


def test_a_value_that_is_no_number_is_refused() -> None:
    model = replace(example(), tensors={"3.bias": np.array([1, np.nan, 2], np.float32)})
    with pytest.raises(ModelError, match=r"tensor 3\.bias with values that are infinite or no numbers"):
        c_source(model, np.zeros((1, 30), np.float32))


@needs_board
@pytest.mark.process
@pytest.mark.parametrize("name", ["mlp", "gru", "cnn1d"])
def test_a_microcontroller_answers_the_same(name: str, tmp_path: Path) -> None:
    model, rows = learned(name, DATA[name]())
    written(model, rows[:10], tmp_path)
    target = ("-mcpu=cortex-m3", "-mthumb", "--specs=rdimon.specs", "-T", CORTEX_M / "m.ld")
    sources = ("model.c", "test.c", CORTEX_M / "start.c")
    subprocess.run(
        ["arm-none-eabi-gcc", *WARNINGS, *target, *sources, "-lm", "-o", "test.elf"], cwd=tmp_path, check=True
    )
    board = ("-M", "mps2-an385", "-nographic", "-semihosting-config", "enable=on,target=native")
    done = subprocess.run(
        ["qemu-system-arm", *board, "-kernel", "test.elf"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, "10 of 10 rows as expected" in done.stdout) == (0, True), done.stdout
