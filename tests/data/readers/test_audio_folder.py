"""Folders of sounds by class: what they become, and what is left out."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from dslnode.data.dataset import load_data_set
from dslnode.data.schema import AudioShape, Schema
from dslnode.errors import DataError
from tests.damaged_files import Damage, damage, damages, fuzz, load_or_refuse


def write_tone(
    path: Path, hertz: float, *, seconds: float = 0.5, rate: int = 8_000, width: int = 2, channels: int = 1
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(round(seconds * rate)) / rate
    wave_form = 0.5 * np.sin(2 * np.pi * hertz * times) + 0.01 * np.sin(2 * np.pi * 777 * times)
    samples = np.repeat(wave_form[:, np.newaxis], channels, axis=1)
    whole = (samples * 2 ** (8 * width - 1) * 0.9).astype(np.int64)
    content = (
        (whole + 128).astype(np.uint8).tobytes()
        if width == 1
        else b"".join(int(value).to_bytes(width, "little", signed=True) for value in whole.ravel())
    )
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(width)
        sound.setframerate(rate)
        sound.writeframes(content)


def write_two_classes(directory: Path) -> None:
    for number in range(4):
        write_tone(directory / "low" / f"{number}.wav", 200 + 10 * number)
        write_tone(directory / "high" / f"{number}.wav", 2_000 + 50 * number)


def loudest_bands(path: Path, options: str = "") -> list[int]:
    data = load_data_set(f"audio:{path}{options}")
    return [int(band) for band in data.train.images[:, 0].mean(axis=2).argmax(axis=1)]


def test_sounds_become_spectrograms(tmp_path: Path) -> None:
    write_two_classes(tmp_path)
    data = load_data_set(f"audio:{tmp_path}")
    assert (data.input_shape, data.class_count, data.target.names) == ((1, 32, 48), 2, ("high", "low"))
    assert data.schema is not None
    assert data.schema.audio == AudioShape(seconds=0.5, rate=8_000, bands=32)
    assert "0.5 s at 8000 Hz become 32 bands by 48 frames" in data.notes
    bands = loudest_bands(tmp_path)
    assert min(bands[:4]) > max(bands[4:])


@pytest.mark.parametrize(
    ("width", "channels", "rate"), [(1, 1, 8_000), (2, 2, 8_000), (3, 1, 8_000), (4, 2, 8_000), (2, 1, 44_100)]
)
def test_the_way_of_writing_makes_little_difference(tmp_path: Path, width: int, channels: int, rate: int) -> None:
    write_two_classes(tmp_path)
    schema = load_data_set(f"audio:{tmp_path}").schema
    plain = load_data_set(f"audio:{tmp_path}", schema=schema)
    write_tone(tmp_path / "high" / "1.wav", 2_050, width=width, channels=channels, rate=rate)
    other = load_data_set(f"audio:{tmp_path}", schema=schema)
    images = plain.train.images
    distances = [np.abs(other.train.images[1] - images[part].mean(axis=0)).mean() for part in (slice(4), slice(4, 8))]
    assert distances[0] < distances[1]


def test_sounds_of_other_lengths_are_cut_or_filled_up(tmp_path: Path) -> None:
    write_two_classes(tmp_path)
    write_tone(tmp_path / "low" / "long.wav", 200, seconds=3)
    write_tone(tmp_path / "low" / "short.wav", 200, seconds=0.05)
    assert load_data_set(f"audio:{tmp_path}").input_shape == (1, 32, 48)
    assert load_data_set(f"audio:{tmp_path}?seconds=60&bands=16&rate=4000").input_shape[:2] == (1, 16)
    assert load_data_set(f"audio:{tmp_path}?seconds=60").input_shape[2] <= 128


def test_a_schema_says_length_rate_and_classes(tmp_path: Path) -> None:
    write_two_classes(tmp_path)
    schema = Schema(classes=("low", "high", "none"), audio=AudioShape(seconds=0.3, rate=4_000, bands=8))
    data = load_data_set(f"audio:{tmp_path}", schema=schema)
    assert (data.input_shape[1], data.class_count, data.train.labels[0]) == (8, 3, 1)


def test_what_is_no_sound_is_left_out(tmp_path: Path) -> None:
    write_two_classes(tmp_path)
    (tmp_path / "low" / "a.wav").write_bytes(b"RIFF")
    (tmp_path / "low" / "b.mp3").write_bytes(b"ID3")
    data = load_data_set(f"audio:{tmp_path}")
    assert "left out: 1 that cannot be read (low/a.wav)" in data.notes
    assert "left out: 1 of another kind (low/b.mp3)" in data.notes
    for path in tmp_path.glob("*/?.wav"):
        path.write_bytes(b"RIFF")
    with pytest.raises(DataError, match="none of its 9 WAV files can be read; save them as PCM"):
        load_data_set(f"audio:{tmp_path}")


@fuzz
@given(damages)
def test_fuzzed_sounds(tmp_path: Path, how: Damage) -> None:
    write_two_classes(tmp_path)
    path = tmp_path / "low" / "1.wav"
    path.write_bytes(damage(path.read_bytes(), how))
    load_or_refuse(f"audio:{tmp_path}")
