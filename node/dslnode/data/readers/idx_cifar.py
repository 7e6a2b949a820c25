"""Reads the two formats that are plain bytes: IDX (MNIST, Fashion-MNIST) and CIFAR-10's binary version.

Plain files are mapped into memory, and others unpacked into a file that is (`readers.mapped_copy`). Bytes are read in
chunks until the length that the header promises, so a header that lies, or a small gzip file that unpacks to terabytes,
costs no more than the bytes that are really there.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dslnode.data.readers.mapped_copy import mapped_copy
from dslnode.data.readers.raw import RawExamples, RawSet, check_size, existing_directory, existing_file
from dslnode.errors import DataError

CHUNK_BYTES = 2**20
IDX_UNSIGNED_BYTE = 0x08

CIFAR_SHAPE = (3, 32, 32)
CIFAR_RECORD_BYTES = 1 + 3 * 32 * 32
CIFAR_TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
CIFAR_TEST_FILE = "test_batch.bin"

Bytes = NDArray[np.uint8]


class ByteStream(Protocol):
    """An open file, plain or gzip."""

    def read(self, size: int, /) -> bytes: ...


def read_idx(directory: Path) -> RawSet:
    """Read train-{images-idx3,labels-idx1}-ubyte and, if there, t10k-..., each plain or .gz.

    Images have the shape (n, height, width), uint8. Raises DataError if a file is missing or broken.
    """
    existing_directory(directory)
    train = _read_idx_pair(directory, "train")
    has_test = any(directory.glob("t10k-*-ubyte*"))
    return RawSet(train, _read_idx_pair(directory, "t10k") if has_test else None, full_scale=255)


def _read_idx_pair(directory: Path, part: str) -> RawExamples:
    images = _read_idx_file(directory, f"{part}-images-idx3-ubyte", dimensions=3)
    labels = _read_idx_file(directory, f"{part}-labels-idx1-ubyte", dimensions=1)
    return RawExamples(images, labels, source=f"{directory}/{part}-*-ubyte")


def _read_idx_file(directory: Path, name: str, dimensions: int) -> Bytes:
    plain, compressed = directory / name, directory / f"{name}.gz"
    if plain.exists():
        return _map_idx_file(existing_file(plain), dimensions)
    if not compressed.exists():
        raise DataError(f"{directory}: neither {name} nor {name}.gz is here; idx: needs the files as downloaded")
    try:
        with gzip.open(existing_file(compressed)) as stream:
            return _read_idx_stream(stream, compressed, dimensions)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{compressed}: broken gzip file ({error}); download it again") from error


def _map_idx_file(path: Path, dimensions: int) -> Bytes:
    """Map the values of a plain file: only what is used of them takes memory."""
    with path.open("rb") as stream:
        shape = _read_idx_shape(stream, path, dimensions)
        begin, length = stream.tell(), path.stat().st_size
    end = begin + check_size(shape, str(path))
    if length < end:
        raise DataError(f"{path}: ends after {length - begin} of {end - begin} bytes; download it again")
    if length > end:
        raise DataError(f"{path}: longer than its header says (shape {tuple(shape)}); download it again")
    # Copy on write: torch warns of arrays that it cannot write to.
    return np.memmap(path, dtype=np.uint8, mode="c", offset=begin, shape=tuple(shape))


def _read_idx_shape(stream: ByteStream, path: Path, dimensions: int) -> list[int]:
    """Read magic (0, 0, type, dimensions), then one big-endian uint32 per dimension."""
    header = _read_exactly(stream, 4 + 4 * dimensions, path)
    if bytes(header[:4]) != bytes([0, 0, IDX_UNSIGNED_BYTE, dimensions]):
        raise DataError(
            f"{path}: starts with {header[:4].hex()}, not the {bytes([0, 0, IDX_UNSIGNED_BYTE, dimensions]).hex()}"
            f" of an IDX file of unsigned bytes with {dimensions} dimension(s); download it again"
        )
    return [int(size) for size in np.frombuffer(header, dtype=">u4", offset=4)]


def _read_idx_stream(stream: ByteStream, path: Path, dimensions: int) -> Bytes:
    """Read the shape, then the values."""
    shape = _read_idx_shape(stream, path, dimensions)
    values = mapped_copy(_chunks(stream, check_size(shape, str(path)), path), tuple(shape))
    if stream.read(1):
        raise DataError(f"{path}: longer than its header says (shape {tuple(shape)}); download it again")
    return values


def _read_exactly(stream: ByteStream, count: int, path: Path) -> bytes:
    return b"".join(_chunks(stream, count, path))


def _chunks(stream: ByteStream, count: int, path: Path) -> Iterator[bytes]:
    """Read `count` bytes; memory grows with what is really there, not with what a header claims."""
    read = 0
    while read < count:
        chunk = stream.read(min(CHUNK_BYTES, count - read))
        if not chunk:
            raise DataError(f"{path}: ends after {read} of {count} bytes; download it again")
        read += len(chunk)
        yield chunk


def read_cifar10(directory: Path) -> RawSet:
    """Read data_batch_1.bin to data_batch_5.bin and, if there, test_batch.bin.

    Images have the shape (n, 3, 32, 32), uint8. Raises DataError if a file is missing or broken, or if
    only the "python version" is there: it is a pickle, and a pickle can run any code.
    """
    existing_directory(directory)
    if (directory / "cifar-10-batches-bin").is_dir():
        directory = directory / "cifar-10-batches-bin"
    _refuse_pickled_cifar(directory)
    train = _join([_read_cifar_batch(directory / name) for name in CIFAR_TRAIN_FILES], directory)
    test = directory / CIFAR_TEST_FILE
    return RawSet(train, _read_cifar_batch(test) if test.exists() else None, full_scale=255, class_count=10)


def _refuse_pickled_cifar(directory: Path) -> None:
    binary, pickled = directory / CIFAR_TRAIN_FILES[0], directory / "data_batch_1"
    if not binary.exists() and (pickled.exists() or (directory / "cifar-10-batches-py").exists()):
        raise DataError(
            f"{directory}: this is the python version of CIFAR-10, which is pickled, and a pickle can run any code;"
            " download the binary version (cifar-10-binary.tar.gz) and give the directory of its .bin files"
        )


def _read_cifar_batch(path: Path) -> RawExamples:
    length = existing_file(path).stat().st_size
    if length == 0 or length % CIFAR_RECORD_BYTES:
        raise DataError(
            f"{path}: {length} bytes are not a whole number of {CIFAR_RECORD_BYTES}-byte records; download it again"
        )
    check_size((length,), str(path))
    records = np.memmap(path, dtype=np.uint8, mode="c", shape=(length // CIFAR_RECORD_BYTES, CIFAR_RECORD_BYTES))
    return RawExamples(records[:, 1:].reshape(-1, *CIFAR_SHAPE), records[:, 0], source=str(path))


def _join(batches: list[RawExamples], directory: Path) -> RawExamples:
    shape = (sum(len(batch.images) for batch in batches), *CIFAR_SHAPE)
    check_size(shape, str(directory))
    images = mapped_copy(_image_bytes(batches), shape)
    labels = np.concatenate([batch.labels for batch in batches])
    return RawExamples(images, labels, source=f"{directory}/data_batch_*.bin")


def _image_bytes(batches: list[RawExamples]) -> Iterator[bytes]:
    step = CHUNK_BYTES // CIFAR_RECORD_BYTES
    for batch in batches:
        for begin in range(0, len(batch.images), step):
            yield batch.images[begin : begin + step].tobytes()
