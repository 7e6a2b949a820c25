"""How ``dslnode predict`` is answered without the command-line library, and everything else by it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from dslnode.cli.entry import FLAGS, VALUES, PredictArguments, predict_arguments
from dslnode.cli.formats import AnswerFormat
from dslnode.cli.main import app
from dslnode.errors import ExitCode
from dslnode.inference.model_file import pack
from dslnode.inference.model_header import Layer
from dslnode.inference.operations import Flatten, Linear
from dslnode.inference.personal_model import PersonalModelFile
from tests.cli.test_main import run
from tests.inference.test_model_file import described

MODEL = Path("m.dslm")
HEAVY = ("torch", "grpc", "cryptography", "pydantic", "typer", "prometheus_client", "structlog", "rich")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("predict m.dslm --data digits", PredictArguments(model=MODEL, data="digits")),
        ("predict --data=- m.dslm", PredictArguments(model=MODEL, data="-")),
        (
            "predict --score m.dslm --data csv:a.csv?target=b --format json",
            PredictArguments(model=MODEL, data="csv:a.csv?target=b", form=AnswerFormat.JSON, score=True),
        ),
    ],
)
def test_what_is_plain_is_taken_at_once(line: str, expected: PredictArguments) -> None:
    assert predict_arguments(line.split()) == expected


@pytest.mark.parametrize(
    "line",
    [
        "",
        "start",
        "predict",
        "predict --help",
        "predict m.dslm",
        "predict m.dslm --explain-schema",
        "predict m.dslm --data",
        "predict m.dslm --data --score",
        "predict m.dslm other.dslm --data digits",
        "predict m.dslm --data digits --data npz:a.npz",
        "predict m.dslm --data digits --format xml",
        "predict m.dslm --data digits --scores",
        "predict m.dslm --data digits -x",
    ],
)
def test_what_is_not_is_left_to_the_library(line: str) -> None:
    assert predict_arguments(line.split()) is None


def test_the_options_are_those_of_the_command() -> None:
    group = get_command(app)
    command = group.commands["predict"]  # type: ignore[attr-defined]
    options = {name for parameter in command.params for name in parameter.opts if name.startswith("--")}
    assert options - {"--help", "--explain-schema"} == FLAGS | VALUES


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return the file of a model that answers digits."""
    description = described(
        layers=(Layer(name="1.weight", shape=(10, 64), scale=0.25),),
        input_shape=(1, 8, 8),
        outputs=10,
        names=(),
        operations=(Flatten(), Linear(weight="1.weight")),
    )
    mask = (np.arange(640) % 3 == 0).astype(np.uint8)
    file = tmp_path / "digits.dslm"
    file.write_bytes(pack(PersonalModelFile(description=description, round=1, mask=mask)))
    return file


@pytest.mark.parametrize("more", [["--format", "csv"], ["--format", "json"], [], ["--score"]], ids=" ".join)
def test_both_ways_answer_alike(model: Path, more: list[str]) -> None:
    words = ["predict", str(model), "--data", "digits", *more]
    assert predict_arguments(words) is not None
    at_once, by_the_library = run(*words), CliRunner().invoke(app, words)
    assert (at_once.returncode, by_the_library.exit_code) == (0, 0)
    assert at_once.stdout == by_the_library.stdout


def test_complaints_are_one_line(tmp_path: Path) -> None:
    done = run("predict", str(tmp_path / "m.dslm"), "--data", "digits")
    assert done.returncode == ExitCode.DATA
    assert done.stderr.startswith(f"dslnode: {tmp_path / 'm.dslm'}: cannot be read")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("data", ["digits", "npz"])
def test_answers_need_nothing_heavy(model: Path, data: str, tmp_path: Path) -> None:
    if data == "npz":
        np.savez(tmp_path / "a.npz", images=np.zeros((3, 8, 8), np.uint8), labels=np.zeros(3, np.int64))
        data = f"npz:{tmp_path / 'a.npz'}"
    code = f"""if True:
        import sys
        from dslnode.cli.entry import main
        main()
        print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
    """
    words = ["predict", str(model), "--data", data]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert done.stdout
    assert done.stderr == "[]\n"
