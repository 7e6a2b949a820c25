"""npz archives and CSV files, read, scaled, and broken."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dslnode.data.dataset import load_data_set
from dslnode.errors import DataError
from tests.damaged_files import Damage, damage, damages, fuzz, load_or_refuse, pixels


def test_npz_as_keras_writes_it(tmp_path: Path) -> None:
    train, test = pixels(4, 6, 5, 3), pixels(2, 6, 5, 3)
    labels = np.array([[0], [1], [2], [1]], dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x_train=train, y_train=labels, x_test=test, y_test=labels[:2])
    data = load_data_set(f"npz:{tmp_path / 'a.npz'}")
    assert data.input_shape == (3, 6, 5)
    np.testing.assert_array_equal(data.train.images, train.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255))
    assert data.train.images.flags.c_contiguous
    assert list(data.train.labels) == [0, 1, 2, 1]
    assert data.held_out is not None
    assert len(data.held_out) == 2


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((4,), (4,)),
        ((6, 5), (1, 6, 5)),
        ((6, 5, 1), (1, 6, 5)),
        ((6, 5, 3), (3, 6, 5)),
        ((3, 6, 5), (3, 6, 5)),
        ((1, 5, 3), (1, 5, 3)),
        ((6, 5, 2), (6, 5, 2)),
    ],
)
def test_channels_come_first(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    np.savez(tmp_path / "a.npz", images=pixels(2, *shape), labels=np.array([0, 1]))
    assert load_data_set(f"npz:{tmp_path / 'a.npz'}").input_shape == expected


@pytest.mark.parametrize(
    ("values", "largest"),
    [
        (np.array([[0, 51], [30, 1]], dtype=np.uint8), 0.2),
        (np.array([[True, False], [False, False]]), 1),
        (np.full((2, 1, 3, 3), 40.0), 1),
        (np.full((2, 1, 3, 3), -0.5), -0.5),
    ],
)
def test_bytes_and_images_are_divided_by_one_number(
    tmp_path: Path, values: NDArray[np.float64], largest: float
) -> None:
    np.savez(tmp_path / "a.npz", images=values, labels=np.array([0, 1]))
    assert load_data_set(f"npz:{tmp_path / 'a.npz'}").train.images.max() == np.float32(largest)


@pytest.mark.parametrize("kind", [np.float64, ">f4", np.int32])
def test_features_are_scaled_one_by_one(tmp_path: Path, kind: type) -> None:
    values: NDArray[np.float64] = np.array([[1000, 1], [2000, 2], [3000, 3], [4000, 4], [5000, 5]], dtype=kind)
    np.savez(tmp_path / "a.npz", x_train=values, y_train=[0, 1, 0, 1, 0], x_test=values[2:3], y_test=[0])
    data = load_data_set(f"npz:{tmp_path / 'a.npz'}")
    assert data.held_out is not None
    np.testing.assert_allclose(data.train.images[:, 0], data.train.images[:, 1], atol=1e-6)
    assert (data.train.images[2, 0], data.held_out.images[0, 0]) == (0, 0)
    assert data.notes == ("2 features, scaled by this node's own data",)


def test_arrays_of_three_dimensions_are_series_unless_they_are_bytes(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.random.default_rng(1).normal(size=(4, 32, 3)), labels=[0, 1, 0, 1])
    data = load_data_set(f"npz:{tmp_path / 'a.npz'}")
    assert data.input_shape == (32, 3)
    assert "series of 32 steps of 3 features" in data.notes[0]
    assert load_data_set(f"npz:{tmp_path / 'a.npz'}?axes=image").input_shape == (1, 32, 3)
    np.savez(tmp_path / "b.npz", images=pixels(4, 32, 3), labels=[0, 1, 0, 1])
    assert load_data_set(f"npz:{tmp_path / 'b.npz'}").input_shape == (1, 32, 3)
    assert load_data_set(f"npz:{tmp_path / 'b.npz'}?axes=series").input_shape == (32, 3)


def test_held_out_examples_are_scaled_as_the_others(tmp_path: Path) -> None:
    ones = np.ones((2, 1, 3, 3))
    np.savez(tmp_path / "a.npz", x_train=4 * ones, y_train=[0, 1], x_test=2 * ones, y_test=[0, 1])
    data = load_data_set(f"npz:{tmp_path / 'a.npz'}")
    assert data.held_out is not None
    assert (data.train.images.max(), data.held_out.images.max()) == (1, 0.5)


def test_an_npz_may_say_how_many_classes_there_are(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=pixels(2, 3), labels=[0, 3], class_count=10)
    assert load_data_set(f"npz:{tmp_path / 'a.npz'}").class_count == 10


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": [1]}, "holds pictures, but needs x_train and y_train"),
        ({"images": [[1], [2]], "labels": [0, -1]}, "label -1 at position 1"),
        ({"images": [[1], [2]], "labels": [0.0, 0.5]}, "label 0.5 at position 1"),
        ({"images": [[1], [2]], "labels": [0.0, np.nan]}, "label nan at position 1"),
        ({"images": [[1], [2]], "labels": [0, 2**40]}, "label 1099511627776 at position 1"),
        ({"images": [[1], [2]], "labels": [0, 0]}, r"1 class\(es\) where 2\.\."),
        ({"images": [[1], [2]], "labels": [[1, 0], [0, 1]]}, "whole numbers of shape"),
        ({"images": [[1], [2]], "labels": ["cat", "dog"]}, "not plain numbers"),
        ({"images": [[1.0], [np.nan]], "labels": [0, 1]}, r"value at \(1, 0\) is not a finite number"),
        ({"images": [[1.0], [np.inf]], "labels": [0, 1]}, r"value at \(1, 0\) is not a finite number"),
        ({"images": [[[[1.0]]], [[[1e300]]]], "labels": [0, 1]}, "is not a finite number"),
        ({"images": [[1j], [2j]], "labels": [0, 1]}, "not plain numbers"),
        ({"images": [1, 2], "labels": [0, 1]}, r"must be numbers of shape \(n, \.\.\.\)"),
        ({"images": np.zeros((0, 4)), "labels": []}, "the data set is empty"),
        ({"images": [[1], [2]], "labels": [0, 1], "class_count": [1, 2]}, "single whole number"),
        ({"images": [[1], [2]], "labels": [0, 1], "class_count": 0}, r"0 class\(es\)"),
        ({"x_train": [[1], [2]], "y_train": [0, 1], "x_test": [[1]]}, "x_test and y_test belong together"),
        ({"x_train": [[1], [2]], "y_train": [0, 1], "x_test": [[1, 2]], "y_test": [0]}, "they must be equal"),
    ],
)
def test_npz_that_cannot_be_used(tmp_path: Path, arrays: dict[str, object], message: str) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=message):
        load_data_set(f"npz:{path}")


def test_pickled_objects_are_never_read(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    np.savez(tmp_path / "a.npz", images=np.array([Evil(), Evil()]), labels=[0, 1], allow_pickle=True)
    with pytest.raises(DataError, match="pickled objects are never read"):
        load_data_set(f"npz:{tmp_path / 'a.npz'}")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("shape", "message"),
    [((2**40, 2**40), "over the limit"), ((10**6, 100), "more than the file holds"), ((-2, -3), "empty")],
)
def test_an_npz_header_that_lies(tmp_path: Path, shape: tuple[int, ...], message: str) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue() + bytes(64))
        archive.writestr("labels.npy", b"")
    with pytest.raises(DataError, match=message):
        load_data_set(f"npz:{tmp_path / 'a.npz'}")


@fuzz
@given(damages, st.booleans())
def test_fuzzed_npz(tmp_path: Path, how: Damage, packed: bool) -> None:
    save = np.savez_compressed if packed else np.savez
    save(tmp_path / "a.npz", images=pixels(3, 4), labels=np.array([0, 1, 2]))
    (tmp_path / "a.npz").write_bytes(damage((tmp_path / "a.npz").read_bytes(), how))
    load_or_refuse(f"npz:{tmp_path / 'a.npz'}")


@fuzz
@given(damages)
def test_fuzzed_npz_header(tmp_path: Path, how: Damage) -> None:
    """Damage inside an intact archive gets past the checksums."""
    member = io.BytesIO()
    np.save(member, pixels(3, 4))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", damage(member.getvalue()[:128], how) + member.getvalue()[128:])
        archive.writestr("labels.npy", member.getvalue())
    load_or_refuse(f"npz:{tmp_path / 'a.npz'}")
