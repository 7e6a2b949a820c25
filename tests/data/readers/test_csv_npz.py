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
        (np.array([[0.0, 0.5], [0.25, 0.1]]), 0.5),
        (np.array([[0.0, 4.0], [2.0, 1.0]], dtype=">f8"), 1),
        (np.array([[0, 1000], [30, 1]], dtype=np.int32), 1),
        (np.array([[-8.0, 4.0], [2.0, 1.0]]), 0.5),
        (np.array([[0, 51], [30, 1]], dtype=np.uint8), 0.2),
        (np.array([[True, False], [False, False]]), 1),
    ],
)
def test_values_are_scaled(tmp_path: Path, values: NDArray[np.float64], largest: float) -> None:
    np.savez(tmp_path / "a.npz", images=values, labels=np.array([0, 1]))
    assert load_data_set(f"npz:{tmp_path / 'a.npz'}").train.images.max() == np.float32(largest)


def test_held_out_examples_are_scaled_as_the_others(tmp_path: Path) -> None:
    ones = np.ones((2, 3))
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
        ({"images": [[1.0], [1e300]], "labels": [0, 1]}, "is not a finite number"),
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


@pytest.mark.parametrize(
    ("text", "labels", "features"),
    [
        ("1,0,2\n0,4,1\n", [1, 0], [[0, 0.5], [1, 0.25]]),
        ("a,Label,b\n0,1,2\n4,0,1\n", [1, 0], [[0, 0.5], [1, 0.25]]),
        ("class,a,b\n1,0,2\n0,4,1", [1, 0], [[0, 0.5], [1, 0.25]]),
        ('\ufeff"label","a"\r\n"1","0.5"\r\n0,1e-1\r\n\r\n', [1, 0], [[0.5], [0.1]]),
    ],
)
def test_csv(tmp_path: Path, text: str, labels: list[int], features: list[list[float]]) -> None:
    (tmp_path / "a.csv").write_text(text, newline="")
    data = load_data_set(f"csv:{tmp_path / 'a.csv'}")
    assert list(data.train.labels) == labels
    np.testing.assert_array_equal(data.train.images, np.array(features, dtype=np.float32))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no examples"),
        ("label,a\n", "no examples"),
        ("0\n1\n", "needs a label and at least one number"),
        ("0,1\n1,x\n", "line 2, column 2: 'x' is not a number"),
        ("label,a\n0,1\n1,\n", "line 3, column 2: '' is not a number"),
        ("0,1,2\n1,2\n", "line 2 has 2 columns instead of 3"),
        ("label;a\n0;1\n", "line 2, column 1: '0;1' is not a number; every cell .* separated by commas"),
        ("a,b,label\n0,1\n", "the header has more columns"),
        ("0,nan\n1,2\n", "not a finite number"),
        ("0,1e99\n1,2\n", "not a finite number"),
        ("-1,1\n1,2\n", "label -1.0 at position 0"),
        ("nan,1\n1,2\n", "label nan at position 0"),
        ("99999999,1\n1,2\n", "label 100000000.0 at position 0"),
    ],
)
def test_broken_csv(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError, match=rf"a\.csv.*{message}"):
        load_data_set(f"csv:{tmp_path / 'a.csv'}")


@fuzz
@given(st.one_of(st.binary(max_size=200), st.text('01289.,-e\n\r" ;xnaif_', max_size=80).map(str.encode)))
def test_fuzzed_csv(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    load_or_refuse(f"csv:{tmp_path / 'a.csv'}")
