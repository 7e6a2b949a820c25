"""Data sets by name, path and function: what is loaded, and what is refused with DataError."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dslnode.data.dataset import DataSet, Examples, load_data_set
from dslnode.data.readers import raw
from dslnode.data.target import Target, Task
from dslnode.errors import DataError
from tests.damaged_files import pixels


def test_the_embedded_digits() -> None:
    data = load_data_set("digits")
    assert data.train.images.shape == (1797, 1, 8, 8)
    assert (data.train.images.min(), data.train.images.max()) == (0, 1)
    assert list(data.train.labels[:5]) == [0, 1, 2, 3, 4]
    assert (data.class_count, data.input_shape, data.held_out, data.name) == (10, (1, 8, 8), None, "digits")


@pytest.mark.parametrize("kind", ["idx", "npz", "images", "csv", "cifar10"])
def test_paths_that_lead_nowhere(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DataError, match=f"{tmp_path}/absent: there is no such .*check the path"):
        load_data_set(f"{kind}:{tmp_path}/absent")
    with pytest.raises(DataError, match="give a path after the colon"):
        load_data_set(f"{kind}:")
    with pytest.raises(DataError):
        load_data_set(f"{kind}:{'x' * 5000}")
    (tmp_path / "file").write_text("")
    wrong = tmp_path if kind in {"npz", "csv"} else tmp_path / "file"
    with pytest.raises(DataError, match=f"{wrong}: not a "):
        load_data_set(f"{kind}:{wrong}")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(DataError, match="not a regular file"):
        load_data_set(f"npz:{tmp_path / 'pipe.npz'}")


def test_files_over_the_limit_are_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.npz").open("wb") as stream:
        stream.truncate(raw.MAX_FILE_BYTES + 1)  # sparse: takes no room on the disk
    for kind in ("npz", "csv"):
        with pytest.raises(DataError, match=r"a\.npz: longer than the \d+ bytes"):
            load_data_set(f"{kind}:{tmp_path / 'a.npz'}")


def test_the_home_directory_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "a.npz", images=pixels(3, 4), labels=[0, 1, 2])
    assert len(load_data_set("npz:~/a.npz").train) == 3


def test_an_unknown_name_lists_the_known_forms() -> None:
    with pytest.raises(DataError, match=r"did you mean 'digits'\?; known are digits, csv:PATH, .*module:function"):
        load_data_set("digts")


@pytest.fixture
def users_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write a function `load` into a module of the working directory; return its spec."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])  # as the command line does

    def write(body: str) -> str:
        name = f"users_data_{tmp_path.name}"
        head = "import numpy as np, torch\nfrom dslnode.data.dataset import DataSet, Examples\n"
        (tmp_path / f"{name}.py").write_text(f"{head}def load():\n    {body}\n")
        return f"{name}:load"

    return write


@pytest.mark.parametrize(
    ("body", "shape", "held_out"),
    [
        ("return np.ones((4, 5, 6)), np.array([0, 1, 2, 1])", (5, 6), False),
        ("return np.ones((4, 5, 6), np.uint8), np.array([0, 1, 2, 1])", (1, 5, 6), False),
        ("return torch.ones(4, 1, 5, 6), torch.tensor([0, 1, 2, 1])", (1, 5, 6), False),
        ("return np.ones((4, 5, 6, 1)), [0, 1, 2, 1], np.ones((1, 5, 6, 1)), [2]", (1, 5, 6), True),
    ],
)
def test_a_users_arrays(users_module: Callable[[str], str], body: str, shape: tuple[int, ...], held_out: bool) -> None:
    data = load_data_set(users_module(body))
    assert (data.input_shape, data.class_count) == (shape, 3)
    assert (data.held_out is not None) == held_out


def test_a_users_data_set_keeps_its_scale_and_shape(users_module: Callable[[str], str]) -> None:
    body = "e = Examples(np.full((2, 4, 3), -7, np.float32), np.array([0, 1])); return DataSet(e, None, 5, 'sensor')"
    data = load_data_set(spec := users_module(body))
    assert (data.input_shape, data.train.images.min(), data.class_count, data.name) == ((4, 3), -7, 5, "sensor")
    assert load_data_set(spec, class_count=9).class_count == 9


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 3", "returned an object of type int; it must return"),
        ("return np.ones(3), np.ones(3), np.ones(3)", "returned an object of type tuple"),
        ("return 1 / 0", "the function failed: ZeroDivisionError"),
        ("return open('absent')", "the function failed: FileNotFoundError"),
        ("return [[1], [1, 2]], [0, 1]", "the function failed: ValueError"),
        ("return np.array([{}, {}]).reshape(2, 1), [0, 1]", "images are object"),
        ("return torch.ones(2, 2, requires_grad=True), [0, 1]", "the function failed: RuntimeError"),
        ("return np.ones((2, 2)), [0, 1], np.array([[None]]), [0]", "images are object"),
        ("return Examples(np.ones((2, 2)), np.array([0, 1]))", r"make them float32 \(or uint8\) and int64"),
        ("e = Examples(np.ones((2, 2), np.float32), np.array([0, 3])); return DataSet(e, None, 3, '')", "label 3 at"),
        ("e = Examples(np.full((1, 2), np.nan, np.float32), np.array([0])); return DataSet(e, None, 3, '')", "finite"),
    ],
)
def test_a_users_function_that_fails(users_module: Callable[[str], str], body: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_data_set(users_module(body))


def test_examples_must_fit_together() -> None:
    images, labels = np.ones((2, 3), np.float32), np.array([0, 1])
    assert len(Examples(images, labels)) == 2
    for wrong in ((images[:1], labels), (images[0], labels), (images, labels.astype(np.int32))):
        with pytest.raises(DataError):
            Examples(*wrong)


def test_taken_examples_are_copies() -> None:
    examples = Examples(np.arange(6, dtype=np.float32).reshape(3, 2), np.array([0, 1, 2]))
    taken = examples.take(np.array([0, 2]))
    assert not np.shares_memory(taken.images, examples.images)
    assert DataSet(taken, None, 3, "some").input_shape == (2,)


def test_values_go_along_with_the_examples_and_count_the_outputs() -> None:
    inputs, labels = np.ones((3, 4), np.float32), np.zeros(3, np.int64)
    examples = Examples(inputs, labels, values=np.arange(6, dtype=np.float32).reshape(3, 2))
    assert examples.targets is examples.values
    assert examples.take(np.array([2])).targets.tolist() == [[4, 5]]
    assert DataSet(examples, None, 1, "numbers", Target(task=Task.REGRESSION)).output_count == 2
    labelled = Examples(inputs, labels)
    assert labelled.targets is labels
    assert DataSet(labelled, None, 7, "classes").output_count == 7
    assert DataSet(labelled, None, 1, "inputs", Target(task=Task.ANOMALY)).output_count == 4


@pytest.mark.parametrize("values", [np.ones((3, 2)), np.ones(3, np.float32), np.ones((2, 2), np.float32)])
def test_values_that_do_not_fit_the_examples_are_refused(values: NDArray[Any]) -> None:
    with pytest.raises(DataError, match=r"make them float32 of shape \(n, outputs\)"):
        Examples(np.ones((3, 4), np.float32), np.zeros(3, np.int64), values=values)


def test_a_class_without_a_name_is_called_by_its_number() -> None:
    target = Target(names=("idle", "worn"))
    assert [target.class_name(label) for label in range(3)] == ["idle", "worn", "2"]
