"""Reads a folder of images sorted by class: DIR/<class>/*.png, or DIR/train/<class> and DIR/test/<class>.

Needs the package pillow, which is optional. Every node of a run must number the classes alike. So a class without
images on this node still needs its empty folder, unless the folders are named by numbers: then the name is the label.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dslnode.data.readers.raw import MAX_CLASSES, RawExamples, RawSet, check_size, existing_directory
from dslnode.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp"})
FORMATS = ("PNG", "JPEG", "BMP")
GREY_MODES = frozenset({"1", "L", "LA"})
COLOUR_MODES = frozenset({"P", "RGB", "RGBA"})


@dataclass(frozen=True)
class ImageFormat:
    """Format that all images of a data set share: channels (1 grey, 3 colour), height and width in pixels."""

    channels: int
    height: int
    width: int

    def __str__(self) -> str:
        """Return it as people write it, such as ``28x28 grey``."""
        return f"{self.width}x{self.height} {'grey' if self.channels == 1 else 'colour'}"


def read_image_folder(directory: Path) -> RawSet:
    """Read all png, jpg and bmp files; images have the shape (n, channels, height, width), uint8.

    Labels number the class folders in the order of their names; folders named by numbers are the labels.
    Raises DataError if there are no images, one is broken, or they differ in size or in channels.
    """
    _check_pillow()
    existing_directory(directory)
    has_parts = (directory / "train").is_dir()
    train_root = directory / "train" if has_parts else directory
    labels = _number_classes(_class_names(train_root), train_root)
    train = _read_part(train_root, labels)
    has_test = has_parts and (directory / "test").is_dir()
    held_out = _read_part(directory / "test", labels) if has_test else None
    return RawSet(train, held_out, full_scale=255, class_count=max(labels.values()) + 1)


def _check_pillow() -> None:
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise DataError("images: needs the package pillow; install it with: pip install 'dslnode[images]'") from error


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
    files = [(path, label) for name, label in _labelled_folders(root, labels) for path in _image_files(root / name)]
    if not files:
        raise DataError(f"{root}: no png, jpg or bmp files in its class folders; the data set is empty")
    image_format = _read_format(files[0][0])
    shape = (len(files), image_format.channels, image_format.height, image_format.width)
    check_size(shape, str(root))
    images = np.empty(shape, dtype=np.uint8)
    for position, (path, _) in enumerate(files):
        images[position] = _read_pixels(path, image_format, files[0][0])
    return RawExamples(images, np.array([label for _, label in files]), source=str(root))


def _labelled_folders(root: Path, labels: dict[str, int]) -> list[tuple[str, int]]:
    names = _class_names(root)
    for name in names:
        if name not in labels:
            raise DataError(f"{root / name}: this class has no training folder; add one, even if it is empty")
    return [(name, labels[name]) for name in names]


def _image_files(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.suffix.lower() in SUFFIXES and entry.is_file())


def _read_format(path: Path) -> ImageFormat:
    import PIL.Image

    try:
        with PIL.Image.open(path, formats=FORMATS) as image:
            return _format_of(image, path)
    except DataError:
        raise
    # Pillow raises OSError, SyntaxError, ValueError, struct.error and more for a broken file.
    except Exception as error:
        raise _broken(path, error) from error


def _read_pixels(path: Path, image_format: ImageFormat, first: Path) -> NDArray[np.uint8]:
    """Decode one image to (channels, height, width); its size is known to be `image_format` before it is decoded."""
    import PIL.Image

    try:
        with PIL.Image.open(path, formats=FORMATS) as image:
            if (found := _format_of(image, path)) != image_format:
                raise DataError(
                    f"{path}: {found}, but {first} is {image_format}; save all images in one size and colour"
                )
            pixels = np.asarray(image.convert("L" if image_format.channels == 1 else "RGB"), dtype=np.uint8)
    except DataError:
        raise
    except Exception as error:
        raise _broken(path, error) from error
    return pixels.reshape(image_format.height, image_format.width, image_format.channels).transpose(2, 0, 1)


def _format_of(image: Image, path: Path) -> ImageFormat:
    if image.mode not in GREY_MODES | COLOUR_MODES:
        raise DataError(f"{path}: its pixels are of mode {image.mode}; save it as 8-bit grey or RGB")
    return ImageFormat(1 if image.mode in GREY_MODES else 3, image.height, image.width)


def _broken(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: cannot be read as an image ({error}); replace or remove it")
