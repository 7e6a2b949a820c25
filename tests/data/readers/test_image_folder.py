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
from dslnode.data.schema import ImageShape, Schema
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


def test_images_of_several_sizes_and_modes_are_brought_to_one(tmp_path: Path) -> None:
    write_two_classes(tmp_path)
    for number, (shape, mode) in enumerate([((40, 20), "L"), ((9, 30), "RGB"), ((8, 8), "P"), ((8, 8), "CMYK")]):
        values = np.full((*shape, 3) if mode != "L" else shape, 200, np.uint8)
        write_image(tmp_path / "b" / f"2{number}.{'jpg' if mode == 'CMYK' else 'png'}", values, mode)
    data = load_data_set(f"images:{tmp_path}")
    assert (data.input_shape, len(data.train)) == ((3, 4, 4), 6)
    assert "images of 4 sizes are cropped to squares and brought to 4x4; ?size=WxH gives another" in data.notes
    assert abs(data.train.images[2:] * 255 - 200).max() < 10
    assert load_data_set(f"images:{tmp_path}?size=6x5&mode=grey").input_shape == (1, 5, 6)


def test_images_are_turned_and_put_on_white(tmp_path: Path) -> None:
    write_two_classes(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    left_dark = np.full((4, 8), 255, np.uint8)
    left_dark[:, :4] = 0
    (tmp_path / "c").mkdir()
    Image.fromarray(left_dark).save(tmp_path / "c" / "turned.png", exif=exif)
    Image.new("RGBA", (4, 8), (0, 0, 0, 0)).save(tmp_path / "c" / "clear.png")
    Image.fromarray(np.full((8, 4), 51 << 8, np.uint16)).save(tmp_path / "c" / "deep.png")
    data = load_data_set(f"images:{tmp_path}?size=4x8&mode=grey")
    clear, deep, turned = data.train.images[2:, 0] * 255
    np.testing.assert_allclose(clear, 255)
    np.testing.assert_allclose(deep, 51)
    assert (turned[:4] == 0).all()
    assert (turned[4:] == 255).all()


def test_what_is_no_image_is_left_out_at_every_level_and_counted(tmp_path: Path) -> None:
    write_two_classes(tmp_path)
    for name in ("a/._1.png", "a/Thumbs.db", "__MACOSX/x", ".cache/x", "b/notes.txt", "b/cut.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\x00\x05\x16\x07")
    data = load_data_set(f"images:{tmp_path}")
    assert (len(data.train), data.target.names) == (2, ("a", "b"))
    notes = "; ".join(data.notes)
    for words in (
        "4 hidden or left over (",
        "a/._1.png",
        "1 of another kind (b/notes.txt)",
        "1 that cannot be read (b/cut.png)",
    ):
        assert words in notes


def test_a_schema_says_size_and_classes(tmp_path: Path) -> None:
    write_two_classes(tmp_path)
    schema = Schema(classes=("b", "zebra", "a"), image=ImageShape(width=3, height=2, mode="colour"))
    data = load_data_set(f"images:{tmp_path}", schema=schema)
    assert (data.input_shape, data.class_count, data.train.labels.tolist()) == ((3, 2, 3), 3, [2, 0])
    assert data.schema == schema
    with pytest.raises(DataError, match=r"b: is none of the classes a, c; .*or the class to the schema"):
        load_data_set(f"images:{tmp_path}", schema=Schema(classes=("a", "c")))


def test_image_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no class folders"):
        load_data_set(f"images:{tmp_path}")
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match=r"no \.bmp, .* files in its class folders"):
        load_data_set(f"images:{tmp_path}")
    write_two_classes(tmp_path / "train")
    write_image(tmp_path / "test" / "c" / "1.png", pixels(1, 4, 4)[0])
    with pytest.raises(DataError, match="test/c: is none of the classes a, b; add a training folder"):
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
