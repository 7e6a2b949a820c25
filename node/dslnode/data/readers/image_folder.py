"""Reads a folder of images sorted by class: DIR/<class>/*.png, or DIR/train/<class> and DIR/test/<class>.

Every node of a run must number the classes alike. So a class without images on this node still needs its
empty folder, unless the folders are named by numbers: then the name is the label.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dslnode.data.readers.raw import MAX_CLASSES, RawExamples, RawSet, check_size, existing_directory
from dslnode.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp"})
FORMATS = ("PNG", "JPEG", "BMP")
GREY_MODES = frozenset({"1", "L", "LA"})
COLOUR_MODES = frozenset({"P", "RGB", "RGBA"})


@dataclass(frozen=True)
class Frame:
    """What all images of a data set have in common: channels (1 grey, 3 colour), height and width in pixels."""

    channels: int
    height: int
    width: int

    def __str__(self) -> str:
        """Say it as a user would."""
        return f"{self.width}x{self.height} {'grey' if self.channels == 1 else 'colour'}"


def read_image_folder(directory: Path) -> RawSet:
    """Read all png, jpg and bmp files; images have the shape (n, channels, height, width), uint8.

    Labels number the class folders in the order of their names; folders named by numbers are the labels.
    Raises DataError if there are no images, one is broken, or they differ in size or in channels.
    """
    existing_directory(directory)
    has_parts = (directory / "train").is_dir()
    train_root = directory / "train" if has_parts else directory
    labels = _number_classes(_class_names(train_root), train_root)
    train = _read_part(train_root, labels)
    has_test = has_parts and (directory / "test").is_dir()
    held_out = _read_part(directory / "test", labels) if has_test else None
    return RawSet(train, held_out, full_scale=255, class_count=max(labels.values()) + 1)


def _class_names(root: Path) -> list[str]:
    names = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise DataError(f"{root}: no class folders; put the images into {root}/<class>/")
    if len(names) > MAX_CLASSES:
        raise DataError(f"{root}: {len(names)} class folders, over the limit of {MAX_CLASSES}")
    return names


def _number_classes(names: list[str], root: Path) -> dict[str, int]:
    numbers = {int(name) for name in names if name.isascii() and name.isdigit() and len(name) < 10}
    if len(numbers) < len(names):
        return {name: label for label, name in enumerate(names)}
    if max(numbers) >= MAX_CLASSES:
        raise DataError(f"{root}/{max(numbers)}: a folder's number is its label, and must be below {MAX_CLASSES}")
    return {name: int(name) for name in names}


def _read_part(root: Path, labels: dict[str, int]) -> RawExamples:
    files = [(path, label) for name, label in _known_classes(root, labels) for path in _image_files(root / name)]
    if not files:
        raise DataError(f"{root}: no png, jpg or bmp files in its class folders; the data set is empty")
    frame = _read_frame(files[0][0])
    shape = (len(files), frame.channels, frame.height, frame.width)
    check_size(shape, str(root))
    images = np.empty(shape, dtype=np.uint8)
    for position, (path, _) in enumerate(files):
        images[position] = _read_pixels(path, frame, files[0][0])
    return RawExamples(images, np.array([label for _, label in files]), source=str(root))


def _known_classes(root: Path, labels: dict[str, int]) -> list[tuple[str, int]]:
    names = _class_names(root)
    for name in names:
        if name not in labels:
            raise DataError(f"{root / name}: this class has no training folder; add one, even if it is empty")
    return [(name, labels[name]) for name in names]


def _image_files(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.suffix.lower() in SUFFIXES and entry.is_file())


def _read_frame(path: Path) -> Frame:
    try:
        with Image.open(path, formats=FORMATS) as image:
            return _frame_of(image, path)
    except DataError:
        raise
    # Pillow raises OSError, SyntaxError, ValueError, struct.error and more for a broken file.
    except Exception as error:
        raise _broken(path, error) from error


def _read_pixels(path: Path, frame: Frame, first: Path) -> NDArray[np.uint8]:
    """Decode one image to (channels, height, width); its size is known to be `frame` before it is decoded."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            if (found := _frame_of(image, path)) != frame:
                raise DataError(f"{path}: {found}, but {first} is {frame}; make all images alike")
            pixels = np.asarray(image.convert("L" if frame.channels == 1 else "RGB"), dtype=np.uint8)
    except DataError:
        raise
    except Exception as error:
        raise _broken(path, error) from error
    return pixels.reshape(frame.height, frame.width, frame.channels).transpose(2, 0, 1)


def _frame_of(image: Image.Image, path: Path) -> Frame:
    if image.mode not in GREY_MODES | COLOUR_MODES:
        raise DataError(f"{path}: its pixels are of mode {image.mode}; save it as 8-bit grey or RGB")
    return Frame(1 if image.mode in GREY_MODES else 3, image.height, image.width)


def _broken(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: cannot be read as an image ({error}); replace or remove it")
