"""Reads a folder of images sorted by class (`images:DIR`), all brought to one size, and all grey or all colour.

Needs the package pillow, which is optional. An image is turned as its EXIF data say, put on white where it is
transparent, made smaller or larger until it covers the size, and cropped around its middle.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from dslnode.data.readers.class_folders import LabelledFiles, Skipped, find_files
from dslnode.data.readers.raw import RawExamples, RawSet, check_size
from dslnode.data.schema import ImageShape, Schema
from dslnode.data.spec_options import ImageOptions
from dslnode.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp"})
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
GREY_MODES = frozenset({"1", "L", "LA", "I;16", "I;16B"})
SIXTEEN_BITS = frozenset({"I;16", "I;16B"})
MAX_PIXELS = 2**26
"""Upper bound of an image before it is decoded."""
SIDE = 64
"""Where images are of several sizes and none is given, they become squares of this side, or smaller ones."""


def read_image_folder(directory: Path, options: ImageOptions, schema: Schema | None) -> RawSet:
    """Read all images; they have the shape (n, channels, height, width), uint8.

    Size and colour are those of the schema or the options, else those that all images share. Images that cannot be
    read are left out and counted. Raises DataError if there are no images.
    """
    check_pillow()
    skipped = Skipped()
    folders = find_files(directory, SUFFIXES, schema.classes if schema else (), skipped)
    shape, notes = (schema.image, ()) if schema and schema.image else _find_shape(folders.train, options)
    train = _read_part(folders.train, shape, skipped)
    held_out = None if folders.held_out is None else _read_part(folders.held_out, shape, skipped)
    return RawSet(
        train,
        held_out,
        full_scale=255,
        class_count=len(folders.classes),
        class_names=folders.classes,
        notes=(*notes, f"classes {', '.join(folders.classes[:12])}", *skipped.notes()),
        schema=Schema(classes=folders.classes, image=shape),
    )


def check_pillow() -> None:
    """Raise ``DataError`` if the package that decodes images is not there."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise DataError("images: needs the package pillow; install it with: pip install 'dslnode[images]'") from error


def _find_shape(part: LabelledFiles, options: ImageOptions) -> tuple[ImageShape, tuple[str, ...]]:
    """Return size and colour of the images by the options or, as far as these are silent, by the files' headers."""
    sizes: Counter[tuple[int, int]] = Counter()
    has_colour = False
    for path, _ in part.files:
        header = _read_header(path)
        if header is not None:
            sizes[header[0]] += 1
            has_colour = has_colour or header[1]
    if not sizes:
        raise DataError(f"{part.root}: none of its {len(part.files)} images can be read; replace them")
    mode: Literal["grey", "colour"] = options.mode or ("colour" if has_colour else "grey")
    if options.size is not None:
        across, _, down = options.size.partition("x")
        return _shape(int(across), int(down or across), mode), ()
    if len(sizes) == 1:
        (width, height), _ = sizes.popitem()
        return _shape(width, height, mode), ()
    side = min(SIDE, *(min(size) for size in sizes))
    note = f"images of {len(sizes)} sizes are cropped to squares and brought to {side}x{side}; ?size=WxH gives another"
    return _shape(side, side, mode), (note,)


def _shape(width: int, height: int, mode: Literal["grey", "colour"]) -> ImageShape:
    limit = 4_096
    if not (1 <= width <= limit and 1 <= height <= limit):
        raise DataError(
            f"images of {width}x{height} are too large to learn from; bring them to ?size=WxH, up to {limit}"
        )
    return ImageShape(width=width, height=height, mode=mode)


def _read_header(path: Path) -> tuple[tuple[int, int], bool] | None:
    """Return width and height as they are seen, and whether there is colour; None if it is no image."""
    import PIL.Image

    try:
        with PIL.Image.open(path, formats=FORMATS) as image:
            is_turned = image.getexif().get(0x0112, 1) in {5, 6, 7, 8}
            size = image.size[::-1] if is_turned else image.size
            return size, image.mode not in GREY_MODES
    # Pillow raises OSError, SyntaxError, ValueError, struct.error and more for a broken file.
    except Exception:
        return None


def _read_part(part: LabelledFiles, shape: ImageShape, skipped: Skipped) -> RawExamples:
    channels = 1 if shape.mode == "grey" else 3
    check_size((len(part.files), channels, shape.height, shape.width), str(part.root))
    images = np.empty((len(part.files), channels, shape.height, shape.width), dtype=np.uint8)
    labels: list[int] = []
    for path, label in part.files:
        pixels = read_pixels(path, shape)
        if pixels is None:
            skipped.add("that cannot be read", path)
            continue
        images[len(labels)] = pixels
        labels.append(label)
    if not labels:
        raise DataError(f"{part.root}: none of its {len(part.files)} images can be read; replace them")
    return RawExamples(images[: len(labels)], np.array(labels), source=str(part.root))


def read_pixels(source: Path | BinaryIO, shape: ImageShape, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8] | None:
    """Decode one image to (channels, height, width), or None if that cannot be done, or it has too many pixels."""
    import PIL.Image
    import PIL.ImageOps

    try:
        with PIL.Image.open(source, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                return None
            image.draft(None, (2 * shape.width, 2 * shape.height))  # a JPEG is decoded no larger than it needs to be
            plain = _plain(PIL.ImageOps.exif_transpose(image), shape)
            if plain.size != (shape.width, shape.height):
                plain = PIL.ImageOps.fit(plain, (shape.width, shape.height))
            pixels = np.asarray(plain, dtype=np.uint8)
    except Exception:
        return None
    return pixels.reshape(shape.height, shape.width, -1).transpose(2, 0, 1)


def _plain(image: Image, shape: ImageShape) -> Image:
    """Return the image in grey or RGB, on white where it is transparent."""
    import PIL.Image

    if image.mode in SIXTEEN_BITS:
        return PIL.Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert(_mode(shape))
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        white = PIL.Image.new("RGBA", seen.size, "white")
        return PIL.Image.alpha_composite(white, seen).convert(_mode(shape))
    return image.convert(_mode(shape))


def _mode(shape: ImageShape) -> str:
    return "L" if shape.mode == "grey" else "RGB"
