"""Turns a PNG or JPEG image into the input of a model of images: turned, put on white, cropped as in training."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dslnode.data.readers.image_folder import check_pillow, read_pixels
from dslnode.data.schema import ImageShape
from dslnode.errors import DataError
from dslnode.inference.model_header import Description

MAX_PIXELS = 2**24
"""Upper bound of an image that comes in a message: what a photograph has, and 48 MiB when it is decoded."""
EIGHT_BITS = 255.0


def image_shape(description: Description) -> ImageShape | None:
    """Return the size of a model's images; None for a model whose inputs are no pixels of 8 bits."""
    schema = description.data_schema
    if schema is not None and schema.image is not None:
        return schema.image
    if len(description.input_shape) != 3 or description.full_scale != EIGHT_BITS:
        return None
    channels, height, width = description.input_shape
    modes: dict[int, Literal["grey", "colour"]] = {1: "grey", 3: "colour"}
    return ImageShape(width=width, height=height, mode=modes[channels]) if channels in modes else None


def image_input(content: bytes, description: Description) -> NDArray[np.uint8]:
    """Return an image as uint8 (1, channels, height, width). ``DataError`` if it is none, or the model takes none."""
    shape = image_shape(description)
    if shape is None:
        raise DataError("the model takes no images of 8 bits; send its inputs as JSON")
    check_pillow()
    pixels = read_pixels(io.BytesIO(content), shape, MAX_PIXELS)
    if pixels is None:
        raise DataError(
            f"the message holds no image that can be decoded, or one of more than {MAX_PIXELS:,} pixels; send a PNG or"
            " JPEG that is smaller"
        )
    return pixels[np.newaxis]
