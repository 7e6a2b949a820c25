"""Images that come in a message."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from dslnode.data.schema import ImageShape, Schema
from dslnode.errors import DataError
from dslnode.inference import image_input as module
from dslnode.inference.image_input import image_input, image_shape
from tests.inference.test_model_file import DESCRIPTION, described

PIXELS = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
GREY = described(base=DESCRIPTION, **{"input_shape": (1, 3, 4), "full_scale": 255.0})


def png(pixels: np.ndarray = PIXELS) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def test_an_image_of_the_right_size_comes_as_it_is() -> None:
    assert (image_input(png(), GREY) == PIXELS).all()
    assert image_input(png(), GREY).shape == (1, 1, 3, 4)


def test_others_are_brought_to_the_size_of_the_schema() -> None:
    schema = Schema(image=ImageShape(width=2, height=2, mode="colour"))
    assert image_input(png(), described(base=GREY, **{"data_schema": schema})).shape == (1, 3, 2, 2)


def test_what_is_no_image_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (b"", b"GIF89a", png()[:45]):
        with pytest.raises(DataError, match="holds no image that can be decoded"):
            image_input(content, GREY)
    monkeypatch.setattr(module, "MAX_PIXELS", 11)
    with pytest.raises(DataError, match="more than 11 pixels"):
        image_input(png(), GREY)


def test_a_model_of_other_numbers_takes_no_image() -> None:
    sixteen = described(base=GREY, **{"full_scale": 16.0})
    assert image_shape(sixteen) is None
    with pytest.raises(DataError, match="takes no images of 8 bits"):
        image_input(png(), sixteen)
