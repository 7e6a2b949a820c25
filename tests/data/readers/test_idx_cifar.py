"""IDX and CIFAR-10 files, as downloaded and broken."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dslnode.data.dataset import load_data_set
from dslnode.errors import DataError
from tests.damaged_files import Array, Damage, damage, damages, fuzz, load_or_refuse, pixels


def idx_bytes(values: Array) -> bytes:
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def write_idx(directory: Path, part: str = "train", packed: bool = False, labels: tuple[int, ...] = (0, 2, 1)) -> None:
    for name, values in (
        (f"{part}-images-idx3-ubyte", pixels(len(labels), 4, 5)),
        (f"{part}-labels-idx1-ubyte", np.array(labels, dtype=np.uint8)),
    ):
        content = idx_bytes(values)
        if packed:
            (directory / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (directory / name).write_bytes(content)


@pytest.mark.parametrize("packed", [False, True])
def test_idx_as_downloaded(tmp_path: Path, packed: bool) -> None:
    write_idx(tmp_path, "train", packed)
    write_idx(tmp_path, "t10k", packed, labels=(1,))
    data = load_data_set(f"idx:{tmp_path}")
    assert data.train.images.shape == (3, 1, 4, 5)
    np.testing.assert_array_equal(data.train.images, pixels(3, 1, 4, 5).astype(np.float32) / np.float32(255))
    assert list(data.train.labels) == [0, 2, 1]
    assert data.held_out is not None
    assert (len(data.held_out), data.class_count) == (1, 3)


def test_idx_without_a_test_part(tmp_path: Path) -> None:
    write_idx(tmp_path)
    assert load_data_set(f"idx:{tmp_path}").held_out is None


def test_idx_with_half_a_test_part(tmp_path: Path) -> None:
    write_idx(tmp_path)
    write_idx(tmp_path, "t10k")
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match="neither t10k-labels-idx1-ubyte nor"):
        load_data_set(f"idx:{tmp_path}")


def test_held_out_labels_beyond_the_classes(tmp_path: Path) -> None:
    write_idx(tmp_path)
    write_idx(tmp_path, "t10k", labels=(0, 7))
    with pytest.raises(DataError, match=r"t10k.*label 7 at position 1 .*classes 0\.\.2"):
        load_data_set(f"idx:{tmp_path}")
    assert load_data_set(f"idx:{tmp_path}", class_count=8).class_count == 8


def test_more_labels_than_images(tmp_path: Path) -> None:
    write_idx(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.array([0, 1], dtype=np.uint8)))
    with pytest.raises(DataError, match="3 images but 2 labels"):
        load_data_set(f"idx:{tmp_path}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "ends after 0 of 16 bytes"),
        (b"\x00\x00\x08\x01" + bytes(12), "starts with 00000801, not the 00000803"),
        (b"\x00\x00\x0d\x03" + bytes(12), "starts with 00000d03"),
        (b"<html><body>404 Not Found", "starts with 3c68746d"),
        (b"\x00\x00\x08\x03" + struct.pack(">III", 0, 28, 28), "the data set is empty"),
        (b"\x00\x00\x08\x03" + struct.pack(">III", *[2**32 - 1] * 3), "over the limit"),
        (b"\x00\x00\x08\x03" + struct.pack(">III", 500_000, 28, 28) + bytes(99), "ends after 99 of 392000000 bytes"),
        (idx_bytes(pixels(3, 4, 5)) + b"x", "longer than its header says"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_broken_idx(tmp_path: Path, content: bytes, message: str, packed: bool) -> None:
    write_idx(tmp_path)
    name = tmp_path / "train-images-idx3-ubyte"
    name.unlink()
    target = tmp_path / f"{name.name}.gz" if packed else name
    target.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match=f"{target}: .*{message}"):
        load_data_set(f"idx:{tmp_path}")


def test_a_gzip_bomb_is_read_no_further_than_its_header_claims(tmp_path: Path) -> None:
    write_idx(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").unlink()
    bomb = gzip.compress(idx_bytes(pixels(3, 4, 5)) + bytes(2**27))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(bomb)
    with pytest.raises(DataError, match="longer than its header says"):
        load_data_set(f"idx:{tmp_path}")


@fuzz
@given(damages, st.booleans(), st.sampled_from(["images-idx3", "labels-idx1"]))
def test_fuzzed_idx(tmp_path: Path, how: Damage, packed: bool, kind: str) -> None:
    for old in tmp_path.iterdir():
        old.unlink()
    write_idx(tmp_path, "train", packed)
    path = tmp_path / f"train-{kind}-ubyte{'.gz' if packed else ''}"
    path.write_bytes(damage(path.read_bytes(), how))
    load_or_refuse(f"idx:{tmp_path}")


def write_cifar(directory: Path, test: bool = True) -> None:
    names = [f"data_batch_{number}.bin" for number in range(1, 6)] + (["test_batch.bin"] if test else [])
    for name in names:
        records = pixels(2, 3073)
        records[:, 0] = (1, 9)
        (directory / name).write_bytes(records.tobytes())


def test_cifar10_binary_version(tmp_path: Path) -> None:
    write_cifar(tmp_path)
    data = load_data_set(f"cifar10:{tmp_path}")
    assert (data.train.images.shape, data.class_count) == ((10, 3, 32, 32), 10)
    assert data.train.images[0, 0, 0, 1] == np.float32(2) / np.float32(255)
    assert list(data.train.labels) == [1, 9] * 5
    assert data.held_out is not None
    assert len(data.held_out) == 2


def test_cifar10_in_its_own_folder_and_without_a_test_part(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-bin").mkdir()
    write_cifar(tmp_path / "cifar-10-batches-bin", test=False)
    assert load_data_set(f"cifar10:{tmp_path}").held_out is None


@pytest.mark.parametrize("name", ["data_batch_1", "cifar-10-batches-py"])
def test_the_pickled_cifar10_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"pickle")
    with pytest.raises(DataError, match=r"python version.*pickled.*download the binary version"):
        load_data_set(f"cifar10:{tmp_path}")


def test_broken_cifar10(tmp_path: Path) -> None:
    write_cifar(tmp_path)
    path = tmp_path / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"data_batch_3\.bin: 6145 bytes are not a whole number of 3073-byte"):
        load_data_set(f"cifar10:{tmp_path}")
    path.unlink()
    with pytest.raises(DataError, match=r"data_batch_3\.bin: there is no such file"):
        load_data_set(f"cifar10:{tmp_path}")
    path.write_bytes(bytes([10]) + bytes(3072))
    with pytest.raises(DataError, match=r"label 10 at position 4 .*classes 0\.\.9"):
        load_data_set(f"cifar10:{tmp_path}")


@fuzz
@given(damages)
def test_fuzzed_cifar10(tmp_path: Path, how: Damage) -> None:
    write_cifar(tmp_path)
    path = tmp_path / "data_batch_5.bin"
    path.write_bytes(damage(path.read_bytes(), how))
    load_or_refuse(f"cifar10:{tmp_path}")
