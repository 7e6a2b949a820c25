"""Folders of images by class, in order and broken."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dslnode.data.dataset import load_data_set
from dslnode.errors import DataError
from tests.damaged_files import Array, Damage, damage, damages, fuzz, load_or_refuse, pixels


def write_image(path: Path, values: Array, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).convert(mode).save(path)


def test_a_folder_of_images(tmp_path: Path) -> None:
    for number, name in enumerate(["cat/1.png", "cat/2.bmp", "dog/1.png"]):
        write_image(tmp_path / name, pixels(3, 4, 6)[number])
    (tmp_path / "eel").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    data = load_data_set(f"images:{tmp_path}")
    assert data.input_shape == (1, 4, 6)
    assert (list(data.train.labels), data.class_count) == ([0, 0, 1], 3)
    np.testing.assert_array_equal(data.train.images[:, 0], pixels(3, 4, 6).astype(np.float32) / np.float32(255))


def test_colour_images_in_train_and_test(tmp_path: Path) -> None:
    for name in ("train/a/1.jpg", "train/b/1.PNG", "test/b/1.png"):
        write_image(tmp_path / name, pixels(1, 4, 6, 3)[0], "RGB")
    data = load_data_set(f"images:{tmp_path}")
    assert data.input_shape == (3, 4, 6)
    np.testing.assert_array_equal(
        data.train.images[1], pixels(1, 4, 6, 3)[0].transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    )
    assert data.held_out is not None
    assert list(data.held_out.labels) == [1]


def test_folders_named_by_numbers_are_the_labels(tmp_path: Path) -> None:
    for name in ("3", "10"):
        write_image(tmp_path / name / "a.png", pixels(1, 2, 2)[0])
    data = load_data_set(f"images:{tmp_path}")
    assert (sorted(data.train.labels), data.class_count) == ([3, 10], 11)


def write_two_classes(directory: Path) -> None:
    for name in ("a", "b"):
        write_image(directory / name / "1.png", pixels(1, 4, 4)[0])


def test_images_that_differ(tmp_path: Path) -> None:
    write_two_classes(tmp_path)
    write_image(tmp_path / "b" / "2.png", pixels(1, 4, 5)[0])
    with pytest.raises(DataError, match=r"b/2\.png: 5x4 grey, but .*a/1\.png is 4x4 grey"):
        load_data_set(f"images:{tmp_path}")
    write_image(tmp_path / "b" / "2.png", pixels(1, 4, 4)[0], "RGB")
    with pytest.raises(DataError, match="4x4 colour, but"):
        load_data_set(f"images:{tmp_path}")
    write_image(tmp_path / "b" / "2.png", pixels(1, 4, 4)[0], "I;16")
    with pytest.raises(DataError, match="of mode I;16; save it as 8-bit"):
        load_data_set(f"images:{tmp_path}")


def test_image_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no class folders"):
        load_data_set(f"images:{tmp_path}")
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="no png, jpg or bmp files"):
        load_data_set(f"images:{tmp_path}")
    write_two_classes(tmp_path / "train")
    write_image(tmp_path / "test" / "c" / "1.png", pixels(1, 4, 4)[0])
    with pytest.raises(DataError, match="test/c: this class has no training folder"):
        load_data_set(f"images:{tmp_path}")
    (tmp_path / "numbers" / "99999999").mkdir(parents=True)
    with pytest.raises(DataError, match="99999999: a folder's number is its label"):
        load_data_set(f"images:{tmp_path / 'numbers'}")


def test_without_pillow_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_two_classes(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match=r"needs the package pillow; .*pip install 'dslnode\[images\]'"):
        load_data_set(f"images:{tmp_path}")


@fuzz
@given(damages, st.sampled_from(["a/1.png", "b/1.png"]), st.sampled_from(["PNG", "JPEG", "BMP"]))
def test_fuzzed_images(tmp_path: Path, how: Damage, name: str, format_name: str) -> None:
    write_two_classes(tmp_path)
    content = io.BytesIO()
    Image.fromarray(pixels(1, 4, 4)[0]).save(content, format_name)
    (tmp_path / name).write_bytes(damage(content.getvalue(), how))
    load_or_refuse(f"images:{tmp_path}")
