"""Reads npz archives, as numpy and keras write them.

Nothing is ever unpickled: an npz member is read only if its header promises plain numbers that fit.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from dslnode.data.readers.raw import MAX_FILE_BYTES, RawExamples, RawSet, check_size, existing_file
from dslnode.errors import DataError

NPZ_NAMES = (("x_train", "y_train"), ("images", "labels"))
NPZ_TEST_NAMES = ("x_test", "y_test")


def read_npz(path: Path) -> RawSet:
    """Read x_train, y_train and, if there, x_test, y_test; or images and labels; and, if there, class_count.

    Raises DataError if the archive is broken, lacks these names, or holds anything but plain numbers.
    """
    existing_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_archive(archive, path)
    except DataError:
        raise
    # zipfile, zlib, ast and numpy raise a dozen different types for a broken archive, not all documented.
    except Exception as error:
        raise DataError(f"{path}: broken npz archive ({error}); write it again with numpy.savez") from error


def _read_archive(archive: zipfile.ZipFile, path: Path) -> RawSet:
    members = {name.removesuffix(".npy") for name in archive.namelist()}
    for names in NPZ_NAMES:
        if members.issuperset(names):
            train = _read_pair(archive, names, path)
            break
    else:
        raise DataError(
            f"{path}: holds {', '.join(sorted(members)[:10]) or 'nothing'}, but needs x_train and y_train"
            " (x_test, y_test are optional), or images and labels"
        )
    has_test = not members.isdisjoint(NPZ_TEST_NAMES)
    held_out = _read_pair(archive, NPZ_TEST_NAMES, path) if has_test else None
    return RawSet(train, held_out, class_count=_read_class_count(archive, path) if "class_count" in members else None)


def _read_pair(archive: zipfile.ZipFile, names: tuple[str, str], path: Path) -> RawExamples:
    images, labels = (_read_member(archive, name, path) for name in names)
    return RawExamples(images, labels, source=f"{path} ({', '.join(names)})")


def _read_class_count(archive: zipfile.ZipFile, path: Path) -> int:
    value = _read_member(archive, "class_count", path)
    if value.size != 1 or value.dtype.kind not in "iu":
        raise DataError(f"{path}: class_count must be a single whole number")
    return int(value.item())


def _read_member(archive: zipfile.ZipFile, name: str, path: Path) -> NDArray[Any]:
    """Read one array after its header was checked: numpy allocates what the header says before it reads."""
    source = f"{path} ({name})"
    if f"{name}.npy" not in archive.namelist():
        raise DataError(f"{source}: missing; x_test and y_test belong together")
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as stream:
        shape, dtype = _read_header(stream, source)
    if dtype.kind not in "biuf":
        raise DataError(f"{source}: holds {dtype}, not plain numbers; pickled objects are never read")
    count = check_size(shape or (1,), source)
    if count * dtype.itemsize > min(info.file_size, MAX_FILE_BYTES):
        raise DataError(f"{source}: its header claims {count} values, more than the file holds; write it again")
    with archive.open(info) as stream:
        return np.asarray(npy_format.read_array(stream, allow_pickle=False))


def _read_header(stream: Any, source: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy_format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = npy_format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = npy_format.read_array_header_2_0(stream)
    else:
        raise DataError(f"{source}: npy version {version} is not known; write it again with numpy.savez")
    return shape, dtype
