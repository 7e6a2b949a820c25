"""The public API: light to import, complete, typed, and as its pages show it."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import dslnode
from dslnode.inference.model_file import pack
from tests.examples import program
from tests.inference.test_model_file import example

SOURCE = Path(dslnode.__file__)
HEAVY = ("torch", "grpc", "numpy", "pydantic", "cryptography", "prometheus_client", "structlog", "rich")


def run(code: str, timeout: float = 120) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_nothing_heavy() -> None:
    loaded = run(f"import sys, dslnode; print([name for name in {HEAVY} if name in sys.modules])")
    assert loaded == "[]\n"


def test_a_model_answers_with_numpy_alone(tmp_path: Path) -> None:
    file = tmp_path / "m.dslm"
    file.write_bytes(pack(example()))
    code = f"""if True:
        import sys, dslnode
        print(len(dslnode.load_model({str(file)!r}).predict([30 * [0.5]])))
        print([name for name in {HEAVY} if name in sys.modules])
    """
    assert run(code) == "1\n['numpy']\n"


@pytest.mark.parametrize("name", ["Settings", "load_data_set", "TrainingOptions", "StatusClient", "DslnodeError"])
def test_what_does_not_learn_needs_no_torch(name: str) -> None:
    assert run(f"import sys, dslnode; dslnode.{name}; print('torch' in sys.modules)") == "False\n"


@pytest.mark.parametrize("name", dslnode.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    found = getattr(dslnode, name)
    assert name in dir(dslnode)
    assert name == "__version__" or (found.__doc__ or "").strip()


def test_the_names_for_type_checkers_are_those_that_are_loaded() -> None:
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    declared = {
        alias.name: (node.module or "").removeprefix("dslnode.")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert declared == dslnode._HOMES
    assert {*declared, "__version__"} == set(dslnode.__all__)


def test_the_version_is_that_of_the_package() -> None:
    assert dslnode.__version__ == version("dslnode")


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'dslnode' has no attribute 'Lerner'"):
        dslnode.Lerner  # noqa: B018


def test_the_examples_of_the_tasks_beat_what_is_trivial() -> None:
    printed = run(program("docs/tasks.md"), timeout=300)
    for line in ("classification: balanced accuracy", "multilabel: ", "regression: R2", "forecast: R2", "anomaly: AU"):
        assert line in printed
    assert "Median: negative mean absolute error" in printed


@pytest.mark.parametrize("page", ["docs/python-api.md", "README.md"])
def test_the_examples_of_the_pages_run(page: str) -> None:
    printed = run(program(page))
    assert "RoundFinished(round=3" in printed
